"""Each probe's rows, worked by hand: the random draws are written down, and the row must follow from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from memtrain.batch import SequenceBatch
from memtrain.data import (
    CopyMemory,
    KeyValueRecall,
    ModularArithmetic,
    Parity,
    Retrieval,
    SelectiveCopy,
    Stack,
    StringCopy,
)
from memtrain.data.probes.copy_memory import copy_memory
from memtrain.data.probes.key_value_recall import key_value_recall
from memtrain.data.probes.modular_arithmetic import bayes_accuracy, modular_arithmetic
from memtrain.data.probes.parity import parity
from memtrain.data.probes.retrieval import retrieval
from memtrain.data.probes.selective_copy import selective_copy
from memtrain.data.probes.stack import stack
from memtrain.data.probes.string_copy import string_copy

N = -100  # no target


class Script:
    """A generator whose draws are written down beforehand."""

    def __init__(self, *draws: Sequence[Any]) -> None:
        self.draws = [np.array(draw) for draw in draws]

    def integers(self, low: int, high: int, size: Any) -> np.ndarray:
        draw = self.draws.pop(0)
        assert draw.shape == ((size,) if isinstance(size, int) else tuple(size))
        assert low <= draw.min()
        assert draw.max() < high
        return draw

    def random(self, size: Any) -> np.ndarray:
        draw = self.draws.pop(0)
        assert draw.shape == tuple(size)
        return draw


def test_retrieval_asks_for_the_symbol_after_the_marker() -> None:
    script = Script([[4, 3, 6, 2, 2, 7, 1, 5]], [1])  # symbols, and the marker at position 1
    inputs, targets = retrieval(script, 1, length=8, symbols=8)  # type: ignore[arg-type]
    assert inputs.tolist() == [[4, 0, 6, 2, 2, 7, 1, 0]]
    assert targets.tolist() == [[N, N, N, N, N, N, N, 6]]


@pytest.mark.parametrize(
    ("reverse", "inputs", "targets"),
    [
        (False, [3, 1, 4, 2, 0, 3, 1, 4], [N, N, N, N, 3, 1, 4, 2]),
        (True, [3, 1, 4, 2, 0, 2, 4, 1], [N, N, N, N, 2, 4, 1, 3]),
    ],
)
def test_string_copy_writes_the_string_from_the_delimiter_on(
    reverse: bool, inputs: list[int], targets: list[int]
) -> None:
    rows = string_copy(Script([[3, 1, 4, 2]]), 1, length=8, symbols=4, reverse=reverse)  # type: ignore[arg-type]
    assert rows[0].tolist() == [inputs]
    assert rows[1].tolist() == [targets]


def test_stack_names_what_each_pop_removes() -> None:
    up, down = 0.1, 0.9
    script = Script([[3, 1, 4, 2, 4, 1, 1, 1]], [[down, up, down, up, up, down, down, down]])
    inputs, targets = stack(script, 1, length=8, symbols=4, capacity=10)  # type: ignore[arg-type]
    # push 3 (the stack is empty: the coin does not count), push 1, pop 1, push 2, push 4, pop 4, pop 2, pop 3
    assert inputs.tolist() == [[3, 1, 0, 2, 4, 0, 0, 0]]
    assert targets.tolist() == [[N, N, 1, N, N, 4, 2, 3]]


def test_a_full_stack_is_popped() -> None:
    script = Script([[1, 2, 3, 4]], [[0.1, 0.1, 0.1, 0.1]])  # every coin says push
    inputs, targets = stack(script, 1, length=4, symbols=4, capacity=2)  # type: ignore[arg-type]
    assert inputs.tolist() == [[1, 2, 0, 4]]
    assert targets.tolist() == [[N, N, 2, N]]


def test_key_value_recall_asks_for_one_key() -> None:
    # Sorting these numbers gives the keys' order 2, 0, 3, 1; the first three are used.
    script = Script([[0.2, 0.9, 0.1, 0.5]], [[1, 0, 1]], [1])
    inputs, targets = key_value_recall(script, 1, pairs=3, keys=4, values=2)  # type: ignore[arg-type]
    assert inputs.tolist() == [[2, 5, 0, 4, 3, 5, 0]]
    assert targets.tolist() == [[N, N, N, N, N, N, 4]]


def test_modular_arithmetic_applies_one_rule_to_every_pair() -> None:
    script = Script([[2, 0, 6, 1]], [[3]], [[5]])  # a, then w = 3, c = 5: b = 11, 5, 23, 8 mod 7
    inputs, targets = modular_arithmetic(script, 1, modulus=7, pairs=4)  # type: ignore[arg-type]
    assert inputs.tolist() == [[2, 4, 0, 5, 6, 2, 1, 1]]
    assert targets.tolist() == [[4, N, 5, N, 2, N, 1, N]]


def test_parity_counts_the_ones_so_far() -> None:
    inputs, targets = parity(Script([[1, 0, 1, 1, 0, 0, 1, 0]]), 1, length=8)  # type: ignore[arg-type]
    assert inputs.tolist() == [[1, 0, 1, 1, 0, 0, 1, 0]]
    assert targets.tolist() == [[1, 1, 0, 1, 1, 1, 0, 0]]


def test_copy_memory_asks_for_the_string_after_the_go_token() -> None:
    rows = copy_memory(Script([[5, 1, 7]]), 1, blanks=4, remembered=3, symbols=8)  # type: ignore[arg-type]
    assert rows[0].tolist() == [[5, 1, 7, 0, 0, 0, 0, 9, 0, 0, 0]]
    assert rows[1].tolist() == [[N, N, N, N, N, N, N, N, 5, 1, 7]]


def test_selective_copy_keeps_the_order_of_the_symbols() -> None:
    # Sorting these numbers gives the places 4, 1, 5, and then those of the blanks.
    script = Script([[5, 1, 7]], [[0.6, 0.2, 0.5, 0.8, 0.1, 0.3, 0.9]])
    rows = selective_copy(script, 1, blanks=4, remembered=3, symbols=8)  # type: ignore[arg-type]
    assert rows[0].tolist() == [[0, 5, 0, 0, 1, 7, 0, 9, 0, 0, 0]]
    assert rows[1].tolist() == [[N, N, N, N, N, N, N, N, 5, 1, 7]]


def test_best_guess_in_modular_arithmetic_worked_by_hand() -> None:
    # V = 3, pairs (a, b) = (1, 2), (1, 2), (2, 1). First b: 1/3. Second: the same a, so certain.
    # Third: w = 0, 1, 2 all agree and predict 2, 0, 1: 1/3.
    assert bayes_accuracy(np.array([[1, 2, 1, 2, 2, 1]]), 3) == pytest.approx((1 / 3 + 1 + 1 / 3) / 3)
    # V = 4, pairs (0, 1), (2, 1): the second b, 1 + 2w in {1, 3}, is a guess between two: 1/2. Then w is
    # 0 or 2 (2w = 0 mod 4), which predict 1 and 3 at a = 1: 1/2.
    assert bayes_accuracy(np.array([[0, 1, 2, 1, 1, 3]]), 4) == pytest.approx((1 / 4 + 1 / 2 + 1 / 2) / 3)


@pytest.mark.parametrize(
    ("probe", "inputs", "labels"),
    [
        (Retrieval(length=8), [4, 0, 6, 2, 2, 7, 1, 0], [0, 0, 6, 6, 6, 6, 6, 6]),
        (CopyMemory(blanks=4, remembered=5), [5, 1, 7, 0, 0, 9, 0, 0, 0], [5] * 9),
        (SelectiveCopy(blanks=6, remembered=4), [0, 5, 0, 1, 9, 0, 0], [0, 5, 5, 5, 5, 5, 5]),
        (StringCopy(length=16), [3, 1, 4, 2, 0, 3, 1, 4], [3] * 8),
        (Stack(length=16), [3, 1, 0, 2, 4, 0, 0, 0], [3, 1, 3, 2, 4, 2, 3, 0]),
        (KeyValueRecall(pairs=3), [7, 40, 0, 33, 12, 40, 0], [0, 0, 0, 2, 2, 2, 2]),
        (ModularArithmetic(modulus=7), [2, 4, 0, 5, 6, 2, 1, 1], [0, 0, 0, 4, 4, 4, 4, 4]),
        (Parity(length=16), [1, 0, 1, 1, 0, 0, 1, 0], [1, 1, 0, 1, 1, 1, 0, 0]),
    ],
)
def test_memory_labels_say_what_a_perfect_memory_stores(probe: Any, inputs: list[int], labels: list[int]) -> None:
    rows = torch.tensor([inputs])
    batch = SequenceBatch.of(rows, torch.full_like(rows, N), torch.zeros(1, dtype=torch.int64))
    assert probe.memory_labels(batch).tolist() == [labels]
