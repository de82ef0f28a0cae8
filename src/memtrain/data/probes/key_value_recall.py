"""Key-value recall: read pairs, then name the value of one key."""

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


def key_value_recall(generator: np.random.Generator, samples: int, *, pairs: int, keys: int, values: int) -> Rows:
    """Draw pairs of distinct keys and any values, then a query key; the target is the query's value.

    Keys are the tokens 0..keys-1, values the tokens keys..keys+values-1. For example, with `pairs=3,
    keys=values=32`::

        inputs   7 40  0 33 12 40  0
        targets  -  -  -  -  -  - 33      (-: no target)

    Args:
        generator: source of all randomness.
        samples: number of rows.
        pairs: number of pairs; there are T = 2 * pairs + 1 timesteps.
        keys: number of different keys.
        values: number of different values.

    Returns:
        Inputs and targets, int64 `[samples, T]`.
    """
    rows = np.arange(samples)
    key = generator.random((samples, keys)).argsort(axis=1)[:, :pairs]
    value = keys + generator.integers(0, values, (samples, pairs))
    asked = generator.integers(0, pairs, samples)
    listed = np.stack([key, value], axis=2).reshape(samples, 2 * pairs)
    inputs = np.concatenate([listed, key[rows, asked, None]], axis=1)
    targets = np.full_like(inputs, IGNORE_INDEX)
    targets[:, -1] = value[rows, asked]
    return inputs, targets


class KeyValueRecall(ProbeDataModule):
    """Key-value recall probe: the memory must hold every pair until one of them is asked for.

    Args:
        pairs: number of key-value pairs, at most `keys`. The difficulty; a sequence has 2 * pairs + 1
            timesteps.
        keys: number of different keys (tokens 0..keys-1); the keys of a sequence are distinct.
        values: number of different values (tokens keys..keys+values-1). Chance is 1/values.
        **options: see `SequenceDataModule`.
    """

    difficulty_name = "pairs"

    def __init__(self, pairs: int = 8, keys: int = 32, values: int = 32, **options: Any) -> None:
        require_at_least("data.pairs", pairs, 1, example=8)
        require_at_least("data.keys", keys, 2, example=32)
        require_at_least("data.values", values, 2, example=32)
        if pairs > keys:
            raise ValueError(
                f"data.pairs is {pairs}, but the keys of a sequence are distinct and data.keys is {keys}; "
                f"choose at most {keys} pairs or more keys."
            )
        self.pairs = pairs
        self.keys = keys
        self.values = values
        super().__init__(**options)

    @property
    def vocabulary_size(self) -> int:
        """The keys and the values."""
        return self.keys + self.values

    @property
    def sequence_length(self) -> int:
        """Timesteps T: the pairs and the query."""
        return 2 * self.pairs + 1

    def generator(self) -> Callable[[np.random.Generator, int], Rows]:
        """Return `key_value_recall` with the options filled in."""
        return partial(key_value_recall, pairs=self.pairs, keys=self.keys, values=self.values)

    def input_space(self) -> int:
        """Count the rows: ordered distinct keys, values, and the query."""
        ordered_keys = 1
        for taken in range(self.pairs):
            ordered_keys *= self.keys - taken
        return ordered_keys * self.values**self.pairs * self.pairs

    def chance(self) -> float:
        """Return 1/values."""
        return 1 / self.values

    def shortcut_accuracy(self) -> float:
        """Return the accuracy of naming the last value: right if the last pair is asked, else by luck."""
        return 1 / self.pairs + (1 - 1 / self.pairs) / self.values

    def memory_labels(self, batch: SequenceBatch) -> Tensor:
        """Return 1 + the value that will be asked for, from its pair on; 0 before; int64 `[B, T]`."""
        query = batch.inputs[:, -1:]
        key_position = (batch.inputs == query).int().argmax(dim=1, keepdim=True)
        value = batch.inputs.gather(1, key_position + 1) - self.keys + 1
        timesteps = torch.arange(batch.inputs.shape[1], device=batch.inputs.device)
        return torch.where(timesteps > key_position, value, 0)
