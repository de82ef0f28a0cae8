"""Effective rank by hand."""

import math

import pytest
import torch

from memtrain.metrics import effective_rank


def test_equally_used_orthogonal_directions_count_fully() -> None:
    """Plus and minus each of three axes, off centre: three equal singular values."""
    axes = torch.eye(5)[:3]
    memories = torch.cat([axes, -axes]) + 7.0
    assert effective_rank(memories).item() == pytest.approx(3.0, rel=1e-5)


def test_unequal_directions_by_hand() -> None:
    """Singular values 3 : 1, so probabilities 3/4 and 1/4."""
    memories = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    expected = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert effective_rank(memories.view(4, 2, 1)).item() == pytest.approx(expected, rel=1e-5)


def test_memories_on_a_line_have_rank_one_whatever_the_offset() -> None:
    line = torch.randn(100, 1) * torch.randn(1, 12) + torch.randn(1, 12)
    assert effective_rank(line).item() == pytest.approx(1.0, abs=0.01)


def test_collapsed_memories_have_rank_zero_up_to_rounding() -> None:
    point = torch.randn(1, 4, 16)
    assert effective_rank(point.expand(200, 4, 16)).item() == 0.0
    rounding = 1 + 1e-7 * torch.randn(200, 4, 16)
    assert effective_rank(point * rounding).item() == 0.0


def test_random_memories_use_nearly_all_directions() -> None:
    assert effective_rank(torch.randn(2000, 10)).item() == pytest.approx(10.0, rel=0.01)


def test_memories_that_are_not_finite_have_no_rank() -> None:
    memories = torch.randn(5, 3)
    memories[2, 1] = torch.inf
    assert effective_rank(memories).isnan()
