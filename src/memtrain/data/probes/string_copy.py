"""String copy: read a string, then write it, forwards or backwards."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from memtrain.batch import IGNORE_INDEX, SequenceBatch
from memtrain.data.blocks import Rows
from memtrain.data.probes.base import ProbeDataModule
from memtrain.limits import require_at_least


def string_copy(generator: np.random.Generator, samples: int, *, length: int, symbols: int, reverse: bool) -> Rows:
    """Draw L symbols 1..n, the delimiter 0, and the string teacher-forced; targets from the delimiter on.

    For example, with `length=8` (L = 4) and the string 3 1 4 2, plain and with `reverse=True`::

        inputs   3  1  4  2  0  3  1  4        inputs   3  1  4  2  0  2  4  1
        targets  -  -  -  -  3  1  4  2        targets  -  -  -  -  2  4  1  3      (-: no target)

    Args:
        generator: source of all randomness.
        samples: number of rows.
        length: timesteps T = 2L.
        symbols: number n of different symbols.
        reverse: write the string backwards.

    Returns:
        Inputs and targets, int64 `[samples, T]`.
    """
    string = generator.integers(1, symbols + 1, (samples, length // 2))
    copy = string[:, ::-1] if reverse else string
    delimiter = np.zeros((samples, 1), dtype=np.int64)
    inputs = np.concatenate([string, delimiter, copy[:, :-1]], axis=1)
    targets = np.concatenate([np.full_like(string, IGNORE_INDEX), copy], axis=1)
    return inputs, targets


class StringCopy(ProbeDataModule):
    """String copy probe: the memory must hold a whole string at the delimiter.

    Args:
        length: timesteps T = 2L, even; L is the length of the string. The difficulty.
        symbols: number n of different symbols (tokens 1..n; 0 is the delimiter). Chance is 1/n.
        reverse: write the string backwards; then the first target is near and the last one far.
        **options: see `SequenceDataModule`.
    """

    difficulty_name = "length"

    def __init__(self, length: int = 32, symbols: int = 4, reverse: bool = False, **options: Any) -> None:
        require_at_least("data.length", length, 2, example=32)
        require_at_least("data.symbols", symbols, 2, example=4)
        if length % 2:
            raise ValueError(
                f"data.length is {length}, but must be even, because half of the steps read the string "
                f"and half write it; choose {length - 1} or {length + 1}."
            )
        self.length = length
        self.symbols = symbols
        self.reverse = reverse
        super().__init__(**options)

    @property
    def vocabulary_size(self) -> int:
        """The symbols and the delimiter."""
        return self.symbols + 1

    @property
    def sequence_length(self) -> int:
        """Timesteps T."""
        return self.length

    def generator(self) -> Callable[[np.random.Generator, int], Rows]:
        """Return `string_copy` with the options filled in."""
        return partial(string_copy, length=self.length, symbols=self.symbols, reverse=self.reverse)

    def input_space(self) -> int:
        """Count the strings."""
        return self.symbols ** (self.length // 2)

    def chance(self) -> float:
        """Return 1/n."""
        return 1 / self.symbols

    def shortcut_accuracy(self) -> float:
        """Return 1/n; backwards a little more, as the first target is the symbol before the delimiter."""
        targets = self.length // 2
        seen = 1 if self.reverse or targets == 1 else 0
        return (seen + (targets - seen) / self.symbols) / targets

    def memory_labels(self, batch: SequenceBatch) -> Tensor:
        """Return the string's first symbol (first branch of the tree) at every step, int64 `[B, T]`."""
        return batch.inputs[:, :1].expand_as(batch.inputs)
