"""Drift by hand, over uneven batches, and for a collapsed memory."""

import pytest
import torch
from torch import Tensor

from memtrain.metrics import Drift, drift_curve


def compute(rollout: Tensor, teacher: Tensor, sizes: list[int]) -> dict[str, Tensor]:
    drift = Drift()
    for pair in zip(rollout.split(sizes), teacher.split(sizes), strict=True):
        drift.update(*pair)
    return drift.compute()


def test_drift_by_hand() -> None:
    """One sample, T = 5, K = D = 1. Errors 1, 0, 4, 9, 16; teacher 0, 1, 2, 3, 4 of variance 2."""
    teacher = torch.arange(5.0).view(1, 5, 1, 1)
    rollout = torch.tensor([1.0, 1.0, 4.0, 6.0, 8.0]).view(1, 5, 1, 1)
    drift = compute(rollout, teacher, [1])
    assert drift["curve"].tolist() == [1.0, 0.0, 4.0, 9.0, 16.0]
    assert drift["mean"].item() == 6.0
    assert drift["equilibrium"].item() == 12.5  # the last quarter of five steps, rounded up: two
    assert drift["relative"].item() == pytest.approx(3.0)


def test_uneven_batches_give_exactly_the_result_of_one_batch() -> None:
    teacher, rollout = torch.randn(2, 9, 6, 2, 3).unbind(0)
    once, split = compute(rollout, teacher, [9]), compute(rollout, teacher, [5, 3, 1])
    for name, value in once.items():
        torch.testing.assert_close(split[name], value, rtol=1e-6, atol=0)
    torch.testing.assert_close(once["curve"], drift_curve(rollout, teacher))


def test_the_mean_of_the_teachers_memories_has_relative_drift_one() -> None:
    teacher = torch.randn(50, 8, 2, 3) + 5.0
    rollout = teacher.mean((0, 1)).expand_as(teacher)
    assert compute(rollout, teacher, [20, 30])["relative"].item() == pytest.approx(1.0)


def test_relative_drift_unmasks_a_collapsed_memory() -> None:
    """Memories within 1e-3 of one point: the error is tiny, and yet the rollout knows nothing."""
    teacher = 1.0 + 1e-3 * torch.randn(200, 8, 2, 3)
    drift = compute(torch.ones_like(teacher), teacher, [150, 50])
    assert drift["mean"].item() < 1e-5
    assert drift["relative"].item() == pytest.approx(1.0, abs=1e-3)


def test_reset_forgets_and_takes_another_length() -> None:
    drift = Drift()
    drift.update(torch.zeros(2, 3, 1, 1), torch.ones(2, 3, 1, 1))
    drift.reset()
    drift.update(torch.zeros(2, 4, 1, 2), torch.full((2, 4, 1, 2), 2.0))
    assert drift.compute()["curve"].tolist() == [4.0] * 4
