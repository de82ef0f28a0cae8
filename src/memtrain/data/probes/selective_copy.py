"""Selective copy: find the symbols among blanks, then write them in order."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from memtrain.batch import IGNORE_INDEX, SequenceBatch
from memtrain.data.blocks import Rows
from memtrain.data.probes.base import ProbeDataModule
from memtrain.limits import require_at_least


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
    inputs = np.zeros((samples, 2 * remembered + blanks + 1), dtype=np.int64)
    np.put_along_axis(inputs, places, string, axis=1)
    inputs[:, remembered + blanks] = symbols + 1
    targets = np.full_like(inputs, IGNORE_INDEX)
    targets[:, -remembered:] = string
    return inputs, targets


class SelectiveCopy(ProbeDataModule):
    """Selective copy probe: the memory must take in some inputs and ignore the others, so that counting does not help.

    The task of Jing et al. (2019, "Gated orthogonal recurrent units") and of Gu & Dao (2023, "Mamba").

    Args:
        blanks: timesteps without a symbol before the go token. The difficulty; a sequence has
            2 * remembered + blanks + 1 timesteps.
        remembered: number of symbols to find and write.
        symbols: number n of different symbols (tokens 1..n; 0 is a blank, n + 1 the go token). Chance is 1/n.
        **options: see `SequenceDataModule`.
    """

    difficulty_name = "blanks"

    def __init__(self, blanks: int = 99, remembered: int = 10, symbols: int = 8, **options: Any) -> None:
        require_at_least("data.blanks", blanks, 0, example=99)
        require_at_least("data.remembered", remembered, 1, example=10)
        require_at_least("data.symbols", symbols, 2, example=8)
        self.blanks = blanks
        self.remembered = remembered
        self.symbols = symbols
        super().__init__(**options)

    @property
    def vocabulary_size(self) -> int:
        """The blank, the symbols and the go token."""
        return self.symbols + 2

    @property
    def sequence_length(self) -> int:
        """Timesteps T: the symbols among blanks, the go token, and the recall."""
        return 2 * self.remembered + self.blanks + 1

    def generator(self) -> Callable[[np.random.Generator, int], Rows]:
        """Return `selective_copy` with the options filled in."""
        return partial(selective_copy, blanks=self.blanks, remembered=self.remembered, symbols=self.symbols)

    def input_space(self) -> int:
        """Count the strings and the places of their symbols."""
        return int(math.comb(self.remembered + self.blanks, self.remembered) * self.symbols**self.remembered)

    def chance(self) -> float:
        """Return 1/n."""
        return 1 / self.symbols

    def shortcut_accuracy(self) -> float:
        """Return 1/n: the last two inputs of a target are blanks and the go token."""
        return 1 / self.symbols

    def memory_labels(self, batch: SequenceBatch) -> Tensor:
        """Return the first symbol to write, from its place on; 0 before; int64 `[B, T]`."""
        place = (batch.inputs > 0).int().argmax(dim=1, keepdim=True)
        timesteps = torch.arange(batch.inputs.shape[1], device=batch.inputs.device)
        return torch.where(timesteps >= place, batch.inputs.gather(1, place), 0)
