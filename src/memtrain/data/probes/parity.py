"""Parity: say at every step whether the number of ones so far is odd."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from memtrain.batch import SequenceBatch
from memtrain.data.blocks import Rows
from memtrain.data.probes.base import ProbeDataModule
from memtrain.limits import require_at_least


def parity(generator: np.random.Generator, samples: int, *, length: int) -> Rows:
    """Draw random bits; the target at every step is the parity of the bits so far.

    For example, with `length=8`::

        inputs   1  0  1  1  0  0  1  0
        targets  1  1  0  1  1  1  0  0

    Args:
        generator: source of all randomness.
        samples: number of rows.
        length: timesteps T.

    Returns:
        Inputs and targets, int64 `[samples, T]`.
    """
    inputs = generator.integers(0, 2, (samples, length))
    return inputs, inputs.cumsum(axis=1) % 2


class Parity(ProbeDataModule):
    """Parity probe: one bit of state that every input may flip.

    Args:
        length: timesteps T in a sequence. The difficulty.
        **options: see `SequenceDataModule`.
    """

    difficulty_name = "length"

    def __init__(self, length: int = 32, **options: Any) -> None:
        require_at_least("data.length", length, 1, example=32)
        self.length = length
        super().__init__(**options)

    @property
    def vocabulary_size(self) -> int:
        """The two bits."""
        return 2

    @property
    def sequence_length(self) -> int:
        """Timesteps T."""
        return self.length

    def generator(self) -> Callable[[np.random.Generator, int], Rows]:
        """Return `parity` with the options filled in."""
        return partial(parity, length=self.length)

    def input_space(self) -> int:
        """Count the rows."""
        return 2**self.length

    def chance(self) -> float:
        """Return 1/2."""
        return 0.5

    def shortcut_accuracy(self) -> float:
        """Return 1/2 and the share of the first two steps, where two inputs are all there is."""
        known = min(2, self.length)
        return (known + (self.length - known) / 2) / self.length

    def memory_labels(self, batch: SequenceBatch) -> Tensor:
        """Return the parity so far, int64 `[B, T]`."""
        return batch.inputs.cumsum(dim=1) % 2
