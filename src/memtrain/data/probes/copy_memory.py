"""Copy memory: read a string, wait, then write it without seeing it again."""

from collections.abc import Callable
from functools import partial

import numpy as np
from torch import Tensor

from memtrain.batch import SequenceBatch
from memtrain.data.blocks import Rows
from memtrain.data.probes.copying import CopyProbe, with_recall


def copy_memory(generator: np.random.Generator, samples: int, *, blanks: int, remembered: int, symbols: int) -> Rows:
    """Draw L symbols 1..n, blanks 0, the go token n + 1 and L more blanks, at which the symbols are the targets.

    For example, with `blanks=4, remembered=3, symbols=8`::

        inputs   5  1  7  0  0  0  0  9  0  0  0
        targets  -  -  -  -  -  -  -  -  5  1  7      (-: no target)

    Args:
        generator: source of all randomness.
        samples: number of rows.
        blanks: between the symbols and the go token.
        remembered: number of symbols L; there are T = 2 L + blanks + 1 timesteps.
        symbols: number n of different symbols.

    Returns:
        Inputs and targets, int64 `[samples, T]`.
    """
    string = generator.integers(1, symbols + 1, (samples, remembered))
    return with_recall(np.pad(string, ((0, 0), (0, blanks))), string, symbols)


class CopyMemory(CopyProbe):
    """Copy memory probe: the memory must hold a whole string while nothing happens.

    The task of Hochreiter & Schmidhuber (1997) in the form of Arjovsky, Shah & Bengio (2016), whose T is blanks + 1;
    they have 10 symbols of 8 kinds.
    """

    def generator(self) -> Callable[[np.random.Generator, int], Rows]:
        """Return `copy_memory` with the options filled in."""
        return partial(copy_memory, blanks=self.blanks, remembered=self.remembered, symbols=self.symbols)

    def input_space(self) -> int:
        """Count the strings."""
        return int(self.symbols**self.remembered)

    def memory_labels(self, batch: SequenceBatch) -> Tensor:
        """Return the string's first symbol at every step, int64 `[B, T]`."""
        return batch.inputs[:, :1].expand_as(batch.inputs)
