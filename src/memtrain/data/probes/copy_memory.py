"""Copy memory: read a string, wait, then write it without seeing it again."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from memtrain.batch import IGNORE_INDEX, SequenceBatch
from memtrain.data.blocks import Rows
from memtrain.data.probes.base import ProbeDataModule
from memtrain.limits import require_at_least


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
    inputs = np.pad(string, ((0, 0), (0, blanks + 1 + remembered)))
    inputs[:, remembered + blanks] = symbols + 1
    targets = np.full_like(inputs, IGNORE_INDEX)
    targets[:, -remembered:] = string
    return inputs, targets


class CopyMemory(ProbeDataModule):
    """Copy memory probe: the memory must hold a whole string while nothing happens.

    The task of Hochreiter & Schmidhuber (1997) in the form of Arjovsky, Shah & Bengio (2016), whose T is blanks + 1;
    they have 10 symbols of 8 kinds.

    Args:
        blanks: timesteps between the string and the go token. The difficulty; a sequence has
            2 * remembered + blanks + 1 timesteps.
        remembered: number of symbols of the string.
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
        """Timesteps T: the string, the blanks, the go token, and the string's recall."""
        return 2 * self.remembered + self.blanks + 1

    def generator(self) -> Callable[[np.random.Generator, int], Rows]:
        """Return `copy_memory` with the options filled in."""
        return partial(copy_memory, blanks=self.blanks, remembered=self.remembered, symbols=self.symbols)

    def input_space(self) -> int:
        """Count the strings."""
        return int(self.symbols**self.remembered)

    def chance(self) -> float:
        """Return 1/n."""
        return 1 / self.symbols

    def shortcut_accuracy(self) -> float:
        """Return 1/n: the last two inputs of a target are blanks and the go token."""
        return 1 / self.symbols

    def memory_labels(self, batch: SequenceBatch) -> Tensor:
        """Return the string's first symbol at every step, int64 `[B, T]`."""
        return batch.inputs[:, :1].expand_as(batch.inputs)
