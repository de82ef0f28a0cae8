"""Modular arithmetic in context: find the rule b = (w*a + c) mod V from examples, and apply it."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtrain.batch import IGNORE_INDEX, SequenceBatch
from memtrain.data.blocks import Rows
from memtrain.data.probes.base import ProbeDataModule
from memtrain.limits import require_at_least


def modular_arithmetic(generator: np.random.Generator, samples: int, *, modulus: int, pairs: int) -> Rows:
    """Draw w and c for each row, and pairs a, b = (w*a + c) mod V; the target at each a is its b.

    For example, with `modulus=7, pairs=4` and w = 3, c = 5::

        inputs   2  4  0  5  6  2  1  1
        targets  4  -  5  -  2  -  1  -      (-: no target)

    Args:
        generator: source of all randomness.
        samples: number of rows.
        modulus: V; a, b, w and c lie in 0..V-1.
        pairs: number of pairs; there are T = 2 * pairs timesteps.

    Returns:
        Inputs and targets, int64 `[samples, T]`.
    """
    a = generator.integers(0, modulus, (samples, pairs))
    w = generator.integers(0, modulus, (samples, 1))
    c = generator.integers(0, modulus, (samples, 1))
    b = (w * a + c) % modulus
    inputs = np.stack([a, b], axis=2).reshape(samples, 2 * pairs)
    targets = np.stack([b, np.full_like(b, IGNORE_INDEX)], axis=2).reshape(samples, 2 * pairs)
    return inputs, targets


def bayes_accuracy(inputs: NDArray[np.int64], modulus: int) -> float:
    """Return the accuracy expected of the best guess from the whole past, over all targets of `inputs`.

    At each a, every w that agrees with the pairs so far is equally likely, and each fixes its c; the best
    guess is the b that most of them predict. (The first b is a blind guess: 1/V.)

    Args:
        inputs: int64 `[B, T]`, rows of `modular_arithmetic`.
        modulus: V.

    Returns:
        Accuracy in [0, 1].
    """
    a, b = inputs[:, 0::2, None], inputs[:, 1::2, None]
    w = np.arange(modulus)
    predicted = (b[:, :1] + w * (a - a[:, :1])) % modulus  # [B, pairs, V]: what each w predicts, given the first pair
    agrees = np.logical_and.accumulate(predicted == b, axis=1)
    accuracy_sum = len(inputs) / modulus
    rows = np.arange(len(inputs))
    for pair in range(1, a.shape[1]):
        votes = np.zeros((len(inputs), modulus))
        for slope in range(modulus):
            votes[rows, predicted[:, pair, slope]] += agrees[:, pair - 1, slope]
        accuracy_sum += (votes.max(axis=1) / votes.sum(axis=1)).sum()
    return float(accuracy_sum / (len(inputs) * a.shape[1]))


class ModularArithmetic(ProbeDataModule):
    """Modular arithmetic probe: learning a linear rule in context, anew in every sequence.

    Args:
        modulus: V, the number of different numbers. The difficulty; chance is 1/V.
        pairs: number of pairs a, b; a sequence has 2 * pairs timesteps.
        **options: see `SequenceDataModule`.
    """

    difficulty_name = "modulus"

    def __init__(self, modulus: int = 7, pairs: int = 16, **options: Any) -> None:
        require_at_least("data.modulus", modulus, 2, example=7)
        require_at_least("data.pairs", pairs, 2, example=16)
        self.modulus = modulus
        self.pairs = pairs
        super().__init__(**options)

    @property
    def vocabulary_size(self) -> int:
        """The numbers 0..V-1."""
        return self.modulus

    @property
    def sequence_length(self) -> int:
        """Timesteps T."""
        return 2 * self.pairs

    def generator(self) -> Callable[[np.random.Generator, int], Rows]:
        """Return `modular_arithmetic` with the options filled in."""
        return partial(modular_arithmetic, modulus=self.modulus, pairs=self.pairs)

    def input_space(self) -> int:
        """Count the choices of all a: fewer than the rows, for which w and c matter too."""
        return self.modulus**self.pairs

    def chance(self) -> float:
        """Return 1/V: c makes every b equally likely."""
        return 1 / self.modulus

    def shortcut_accuracy(self) -> float:
        """Return the accuracy of repeating the previous b: right if w * (a - previous a) = 0 mod V."""
        unchanged = sum(math.gcd(w, self.modulus) for w in range(self.modulus)) / self.modulus**2
        return (1 / self.modulus + (self.pairs - 1) * unchanged) / self.pairs

    def best_possible(self) -> float:
        """Return the accuracy of the best guess from the whole past, on the test split."""
        test = self.build_dataset("test")
        return bayes_accuracy(test.rows(np.arange(len(test)))[0], self.modulus)

    def memory_labels(self, batch: SequenceBatch) -> Tensor:
        """Return 1 + the least w that fits the row, from its second pair on; 0 before; int64 `[B, T]`."""
        a, b = batch.inputs[:, 0::2, None], batch.inputs[:, 1::2, None]
        w = torch.arange(self.modulus, device=batch.inputs.device)
        agrees = ((w * (a - a[:, :1]) - (b - b[:, :1])) % self.modulus == 0).all(dim=1)
        slope = agrees.int().argmax(dim=1, keepdim=True) + 1
        timesteps = torch.arange(batch.inputs.shape[1], device=batch.inputs.device)
        return torch.where(timesteps >= 3, slope, 0)
