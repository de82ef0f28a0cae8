"""Stack: push symbols, and name each one that is popped."""

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


def stack(generator: np.random.Generator, samples: int, *, length: int, symbols: int, capacity: int) -> Rows:
    """Draw pushes 1..n and pops 0, each with probability 1/2; targets are the popped symbols.

    An empty stack is always pushed to, a full one popped from. For example, with `length=8, symbols=4`::

        inputs   3  1  0  2  4  0  0  0
        targets  -  -  1  -  -  4  2  3      (-: no target)

    Args:
        generator: source of all randomness.
        samples: number of rows.
        length: timesteps T.
        symbols: number n of different symbols.
        capacity: largest depth of the stack.

    Returns:
        Inputs and targets, int64 `[samples, T]`.
    """
    pushed = generator.integers(1, symbols + 1, (samples, length)).T.copy()  # time first, so that a step is one run
    coin = (generator.random((samples, length)) < 0.5).T.copy()
    inputs = np.empty((length, samples), dtype=np.int64)
    targets = np.empty((length, samples), dtype=np.int64)
    contents = np.zeros((capacity + 1) * samples, dtype=np.int64)  # level by level; level 0 is the floor
    top = np.arange(samples)  # where each stack's uppermost symbol lies
    for t in range(length):
        push = (coin[t] | (top < samples)) & (top < capacity * samples)
        inputs[t] = np.where(push, pushed[t], 0)
        targets[t] = np.where(push, IGNORE_INDEX, contents[top])
        top += np.where(push, samples, -samples)
        contents[top] = np.where(push, pushed[t], contents[top])  # a pop leaves what it comes upon
    return inputs.T, targets.T


class Stack(ProbeDataModule):
    """Stack probe: state tracking; the target at every pop is the symbol that leaves the stack.

    Args:
        length: timesteps T in a sequence, at least 2. The difficulty.
        symbols: number n of different symbols (tokens 1..n; 0 is a pop). Chance is 1/n.
        capacity: largest depth of the stack; a full stack is popped from.
        **options: see `SequenceDataModule`.
    """

    difficulty_name = "length"

    def __init__(self, length: int = 32, symbols: int = 4, capacity: int = 10, **options: Any) -> None:
        require_at_least("data.length", length, 2, example=32)
        require_at_least("data.symbols", symbols, 2, example=4)
        require_at_least("data.capacity", capacity, 1, example=10)
        self.length = length
        self.symbols = symbols
        self.capacity = capacity
        super().__init__(**options)

    @property
    def vocabulary_size(self) -> int:
        """The symbols and the pop."""
        return self.symbols + 1

    @property
    def sequence_length(self) -> int:
        """Timesteps T."""
        return self.length

    def generator(self) -> Callable[[np.random.Generator, int], Rows]:
        """Return `stack` with the options filled in."""
        return partial(stack, length=self.length, symbols=self.symbols, capacity=self.capacity)

    def input_space(self) -> int:
        """Count the rows, by the depth they end at."""
        rows_at_depth = [1] + [0] * self.capacity
        for _ in range(self.length):
            pushes = [0, *(self.symbols * rows for rows in rows_at_depth[:-1])]
            pops = [*rows_at_depth[1:], 0]
            rows_at_depth = [push + pop for push, pop in zip(pushes, pops, strict=True)]
        return sum(rows_at_depth)

    def chance(self) -> float:
        """Return 1/n."""
        return 1 / self.symbols

    def shortcut_accuracy(self) -> float:
        """Return the accuracy of naming the symbol pushed just before a pop, and guessing after another pop.

        The share of pops that follow a push is exact: it comes from the probabilities of all depths at each
        step.
        """
        pop_probability = np.array([0.0] + [0.5] * (self.capacity - 1) + [1.0])
        at_depth = np.zeros(self.capacity + 1)
        at_depth[0] = 1.0
        just_pushed = np.zeros_like(at_depth)  # joint probability of the depth and of a push at the step before
        pops = pops_after_push = 0.0
        for _ in range(self.length):
            popped = at_depth * pop_probability
            pops += popped.sum()
            pops_after_push += (just_pushed * pop_probability).sum()
            just_pushed = np.append(0.0, (at_depth - popped)[:-1])
            at_depth = just_pushed + np.append(popped[1:], 0.0)
        return float((pops_after_push + (pops - pops_after_push) / self.symbols) / pops)

    def memory_labels(self, batch: SequenceBatch) -> Tensor:
        """Return the symbol on top of the stack after each step, 0 if it is empty, int64 `[B, T]`."""
        inputs = batch.inputs
        rows = torch.arange(len(inputs), device=inputs.device)
        contents = inputs.new_zeros(len(inputs), self.capacity + 1)
        depth = torch.zeros_like(rows)
        tops = []
        for token in inputs.unbind(1):
            depth = depth + torch.where(token > 0, 1, -1)
            contents[rows, depth] = torch.where(token > 0, token, contents[rows, depth])
            tops.append(contents[rows, depth])
        return torch.stack(tops, dim=1)
