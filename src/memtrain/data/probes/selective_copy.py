"""Selective copy: find the symbols among blanks, then write them in order."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from memtrain.batch import SequenceBatch
from memtrain.data.blocks import Rows
from memtrain.data.probes.copying import CopyProbe, with_recall


def selective_copy(generator: np.random.Generator, samples: int, *, blanks: int, remembered: int, symbols: int) -> Rows:
    """Draw L symbols 1..n among blanks 0, the go token n + 1, and L blanks at which the symbols are the targets.

    For example, with `blanks=4, remembered=3, symbols=8`::

        inputs   0  5  0  0  1  7  0  9  0  0  0
        targets  -  -  -  -  -  -  -  -  5  1  7      (-: no target)

    Args:
        generator: source of all randomness.
        samples: number of rows.
        blanks: among the symbols, before the go token.
        remembered: number of symbols L; there are T = 2 L + blanks + 1 timesteps.
        symbols: number n of different symbols.

    Returns:
        Inputs and targets, int64 `[samples, T]`.
    """
    string = generator.integers(1, symbols + 1, (samples, remembered))
    places = np.sort(generator.random((samples, remembered + blanks)).argsort(axis=1)[:, :remembered])
    shown = np.zeros((samples, remembered + blanks), dtype=np.int64)
    np.put_along_axis(shown, places, string, axis=1)
    return with_recall(shown, string, symbols)


class SelectiveCopy(CopyProbe):
    """Selective copy probe: the memory must take in some inputs and ignore the others, so that counting does not help.

    The task of Jing et al. (2019, "Gated orthogonal recurrent units") and of Gu & Dao (2023, "Mamba").
    """

    def generator(self) -> Callable[[np.random.Generator, int], Rows]:
        """Return `selective_copy` with the options filled in."""
        return partial(selective_copy, blanks=self.blanks, remembered=self.remembered, symbols=self.symbols)

    def input_space(self) -> int:
        """Count the strings and the places of their symbols."""
        return int(math.comb(self.remembered + self.blanks, self.remembered) * self.symbols**self.remembered)

    def memory_labels(self, batch: SequenceBatch) -> Tensor:
        """Return the first symbol to write, from its place on; 0 before; int64 `[B, T]`."""
        place = (batch.inputs > 0).int().argmax(dim=1, keepdim=True)
        timesteps = torch.arange(batch.inputs.shape[1], device=batch.inputs.device)
        return torch.where(timesteps >= place, batch.inputs.gather(1, place), 0)
