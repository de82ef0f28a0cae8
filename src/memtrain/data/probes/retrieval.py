"""Retrieval: remember the one symbol that was marked, until asked at the very end."""

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


def retrieval(generator: np.random.Generator, samples: int, *, length: int, symbols: int) -> Rows:
    """Draw symbols 1..n, with the marker 0 and then the needle in the first half, and the marker at the end.

    For example, with `length=8, symbols=8` and the marker at position 1, hence the needle 6::

        inputs   4  0  6  2  2  7  1  0
        targets  -  -  -  -  -  -  -  6      (-: no target)

    Args:
        generator: source of all randomness.
        samples: number of rows.
        length: timesteps T, at least 4.
        symbols: number n of different symbols.

    Returns:
        Inputs and targets, int64 `[samples, T]`.
    """
    rows = np.arange(samples)
    inputs = generator.integers(1, symbols + 1, (samples, length))
    marker = generator.integers(0, length // 2 - 1, samples)
    inputs[rows, marker] = 0
    inputs[:, -1] = 0
    targets = np.full_like(inputs, IGNORE_INDEX)
    targets[:, -1] = inputs[rows, marker + 1]
    return inputs, targets


class Retrieval(ProbeDataModule):
    """Retrieval probe: the only target, at the last step, is the symbol that followed the marker.

    Args:
        length: timesteps T in a sequence, at least 4. The difficulty: the needle must be kept for more than
            T/2 steps.
        symbols: number n of different symbols (tokens 1..n; 0 is the marker). Chance is 1/n.
        **options: see `SequenceDataModule`.
    """

    difficulty_name = "length"

    def __init__(self, length: int = 32, symbols: int = 8, **options: Any) -> None:
        require_at_least("data.length", length, 4, example=32)
        require_at_least("data.symbols", symbols, 2, example=8)
        self.length = length
        self.symbols = symbols
        super().__init__(**options)

    @property
    def vocabulary_size(self) -> int:
        """The symbols and the marker."""
        return self.symbols + 1

    @property
    def sequence_length(self) -> int:
        """Timesteps T."""
        return self.length

    def generator(self) -> Callable[[np.random.Generator, int], Rows]:
        """Return `retrieval` with the options filled in."""
        return partial(retrieval, length=self.length, symbols=self.symbols)

    def input_space(self) -> int:
        """Count the rows: places of the marker times the symbols everywhere else."""
        return (self.length // 2 - 1) * self.symbols ** (self.length - 2)

    def chance(self) -> float:
        """Return 1/n."""
        return 1 / self.symbols

    def shortcut_accuracy(self) -> float:
        """Return 1/n: the last two inputs are the marker and a symbol that is never the needle."""
        return 1 / self.symbols

    def memory_labels(self, batch: SequenceBatch) -> Tensor:
        """Return the needle from the step that shows it, 0 before, int64 `[B, T]`."""
        marker = (batch.inputs == 0).int().argmax(dim=1, keepdim=True)
        needle = batch.inputs.gather(1, marker + 1)
        timesteps = torch.arange(batch.inputs.shape[1], device=batch.inputs.device)
        return torch.where(timesteps > marker, needle, 0)
