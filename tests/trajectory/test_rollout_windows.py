"""Windows: where rollouts start, how they grow over a stage, and which of their steps are labeled."""

import pytest
import torch

from memtrain.objectives import sample_starts, step_generator
from memtrain.trajectory import Windows

EVERYWHERE = torch.ones(12, dtype=torch.bool)


def test_one_rollout_starts_at_the_initial_memory_and_reads_no_teacher() -> None:
    windows = Windows(length=4)
    assert not windows.needs_teacher
    assert windows.draw(4, EVERYWHERE, step_generator(0, 0, "starts")).tolist() == [-1]


def test_further_rollouts_start_at_random_memories_of_the_teacher() -> None:
    windows = Windows(starts=3, length=4)
    assert windows.needs_teacher
    drawn = windows.draw(4, EVERYWHERE, step_generator(7, 5, "starts"))
    assert torch.equal(drawn, sample_starts(12, 4, 3, step_generator(7, 5, "starts")))
    assert drawn[0] == -1
    assert ((drawn[1:] >= 0) & (drawn[1:] <= 12 - 1 - 4)).all()


def test_a_list_of_lengths_gives_each_an_equal_share_of_the_steps() -> None:
    windows = Windows(length=[2, 4, None])
    assert [windows.at(step, 6, length=12) for step in range(7)] == [2, 2, 4, 4, 12, 12, 12]


@pytest.mark.parametrize(("length", "window"), [(None, 12), (5, 5), (50, 12)])
def test_a_rollout_is_no_longer_than_the_sequence(length: int | None, window: int) -> None:
    assert Windows(length=length).at(0, 10, length=12) == window


@pytest.mark.parametrize(("stride", "labels"), [(1, [0, 1, 2, 3, 4, 5, 6]), (3, [2, 5]), (7, [6])])
def test_every_sth_step_is_labeled(stride: int, labels: list[int]) -> None:
    assert Windows(label_stride=stride).labels(7).tolist() == labels


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"length": []}, r"model\.windows\.length is empty"),
        ({"length": 0}, r"model\.windows\.length is 0, but must be at least 1"),
        ({"length": [4, 0]}, r"model\.windows\.length is 0, but must be at least 1"),
        ({"starts": 0}, r"model\.windows\.starts is 0, but must be at least 1"),
        ({"label_stride": 0}, r"model\.windows\.label_stride is 0, but must be at least 1"),
        ({"length": [8, 2], "label_stride": 4}, r"label_stride is 4, but the shortest .* choose at most 2"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Windows(**options)


def test_sequences_that_are_too_short_for_a_label_are_refused() -> None:
    with pytest.raises(ValueError, match=r"label_stride is 7, but the data's sequences have 4 timesteps, .* at most 4"):
        Windows(label_stride=7).at(0, 10, length=4)


def test_half_of_the_windows_hold_the_lone_target_if_wanted() -> None:
    """T = 40, one target at 39: of windows of 4 only the one from memory 35 holds it."""
    lone = torch.zeros(40, dtype=torch.bool)
    lone[39] = True
    held, drawn = 0, 0
    for step in range(50):
        starts = Windows(starts=3, length=4, over_targets=True).draw(4, lone, step_generator(0, step, "starts"))
        assert starts[0] == -1
        assert len(set(starts.tolist())) == 3
        assert 35 in starts  # the one start whose rollout ends at the target
        by_chance = Windows(starts=3, length=4).draw(4, lone, step_generator(0, step, "starts"))
        held, drawn = held + int(35 in by_chance), drawn + 1
    assert held < drawn / 4
