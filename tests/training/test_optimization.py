"""Learning rates over the steps of a stage."""

import logging

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from memtrain.training.optimization import adamw, warmup_schedule, warmup_within


def rates(given: int, total: int, schedule: str) -> list[float]:
    """The learning rate of each step of a stage, relative to the stage's own."""
    optimizer = adamw({"rnn": nn.Linear(1, 1)}, 1.0, (0.9, 0.95), 0.0, scaled=False)
    scheduler = warmup_schedule(optimizer, given, total, schedule)  # type: ignore[arg-type]
    found = []
    for _ in range(total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("total", [22, 75])
def test_a_warm_up_ends_within_a_short_stage(total: int) -> None:
    assert all(rate == 1.0 for rate in rates(50, total, "constant")[total // 20 - 1 :])
    assert rates(50, total, "cosine")[-1] < 0.01


def test_a_warm_up_of_a_long_stage_is_the_one_that_was_given() -> None:
    assert (warmup_within(50, 999), warmup_within(50, 1000), warmup_within(50, 10**6)) == (49, 50, 50)
    found = torch.tensor(rates(4, 80, "constant"))
    torch.testing.assert_close(found, torch.cat([torch.arange(1, 5) / 4, torch.ones(76)]))


def test_a_stage_of_a_few_steps_has_no_warm_up() -> None:
    assert rates(50, 19, "constant") == [1.0] * 19


def test_the_log_says_once_that_a_warm_up_is_shortened(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 0, raising=False)  # whatever process a test before has been
    with caplog.at_level(logging.INFO, logger="lightning.pytorch.utilities.rank_zero"):
        rates(50, 1000, "constant")
        assert not caplog.messages
        rates(50, 75, "constant")
    assert caplog.messages == ["The warm-up takes 3 steps, not 50: at most 5% of the stage's 75."]
