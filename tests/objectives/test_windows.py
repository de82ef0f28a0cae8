"""Cutting futures out of a batch: by hand, and against a brute-force reading of the definition."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from memtrain.batch import SequenceBatch
from memtrain.objectives import Futures, bearing_timesteps, count_futures, futures, targets_per_timestep

NONE = -100
"""How these tests write "no target here"."""


def cut(inputs: Tensor, written: Tensor, timesteps: list[int], length: int | None) -> tuple[Futures, Tensor]:
    """The futures of a batch whose targets are `NONE` where there is none, and their targets written likewise."""
    batch = SequenceBatch.of(inputs, written, torch.arange(len(inputs)))
    found = futures(batch, torch.tensor(timesteps), length)
    return found, found.targets.masked_fill(~found.mask, NONE)


def test_futures_by_hand() -> None:
    """Every timestep has a target; after t = 1 the inputs x_2, x_3 are seen and y_1, y_2, y_3 predicted."""
    inputs, targets = torch.tensor([[10, 11, 12, 13]]), torch.tensor([[20, 21, 22, 23]])
    future, wanted_targets = cut(inputs, targets, [1, 3], None)
    assert future.inputs[0, 0].tolist() == [12, 13]
    assert wanted_targets.tolist() == [[[21, 22, 23], [23, NONE, NONE]]]
    assert future.wanted is None


def test_future_length_counts_targets() -> None:
    """`future_length` 1 is memory alone: no future input, only y_t."""
    inputs, targets = torch.tensor([[10, 11, 12, 13]]), torch.tensor([[20, 21, 22, 23]])
    future, wanted_targets = cut(inputs, targets, [0, 2], 1)
    assert future.inputs.shape == (1, 2, 0)
    assert wanted_targets.tolist() == [[[20], [22]]]


def test_only_positions_that_bear_a_target_are_wanted() -> None:
    """A probe whose only target is y_3: position 3 - t after each t, one logit each instead of up to four."""
    inputs, targets = torch.tensor([[10, 11, 12, 13]]), torch.tensor([[NONE, NONE, NONE, 23]])
    future, wanted_targets = cut(inputs, targets, [0, 2], None)
    assert future.inputs[0, 0].tolist() == [11, 12, 13]
    assert future.wanted is not None
    assert future.wanted.tolist() == [[3], [1]]
    assert wanted_targets.tolist() == [[[23], [23]]]


def test_a_batch_without_targets_has_none_to_predict() -> None:
    inputs, targets = torch.zeros(2, 4, dtype=torch.long), torch.full((2, 4), NONE)
    _, wanted_targets = cut(inputs, targets, [1], None)
    assert (wanted_targets == NONE).all()


@given(st.data())
def test_futures_hold_each_target_of_the_window_exactly_once(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 7))
    samples = data.draw(st.integers(1, 3))
    row = st.lists(st.sampled_from([NONE, 1, 2]), min_size=length, max_size=length)
    targets = torch.tensor(data.draw(st.lists(row, min_size=samples, max_size=samples)))
    inputs = torch.arange(samples * length).view(samples, length)
    chosen = data.draw(st.lists(st.integers(0, length - 1), min_size=1, unique=True))
    future_length = data.draw(st.none() | st.integers(1, 9))

    future, wanted_targets = cut(inputs, targets, chosen, future_length)
    counts = (targets != NONE).sum(0)
    assert count_futures(counts, torch.tensor(chosen), future_length) == (wanted_targets != NONE).sum()
    size = future.inputs.shape[2] + 1
    positions = torch.arange(size).expand(len(chosen), size) if future.wanted is None else future.wanted
    for n, t in enumerate(chosen):
        assert len(set(positions[n].tolist())) == positions.shape[1]
        for b in range(samples):
            inside = [length - t, length - t if future_length is None else future_length]
            expected = {(o, int(targets[b, t + o])) for o in range(min(inside)) if targets[b, t + o] != NONE}
            pairs = zip(positions[n].tolist(), wanted_targets[b, n].tolist(), strict=True)
            assert {(o, y) for o, y in pairs if y != NONE} == expected
            for i in range(min(size, length - t) - 1):
                assert future.inputs[b, n, i] == inputs[b, t + 1 + i]


def test_bearing_timesteps_are_those_where_any_sample_has_a_target() -> None:
    targets = torch.tensor([[NONE, 1, NONE, NONE], [NONE, NONE, NONE, 0]])
    assert bearing_timesteps(targets != NONE).tolist() == [1, 3]


def test_the_futures_of_several_numbers_carry_what_is_known_ahead_of_each() -> None:
    """Two target channels, of which y_3's second is missing; u_{t+1} stands beside y_t."""
    inputs = torch.arange(4.0).view(1, 4, 1)
    targets = torch.stack([torch.arange(4.0), 10 + torch.arange(4.0)], dim=-1).unsqueeze(0)
    mask = torch.ones(1, 4, 2, dtype=torch.bool)
    mask[0, 0] = mask[0, 3, 1] = False
    ahead = 100 + torch.arange(4.0).view(1, 4, 1)
    batch = SequenceBatch(inputs, targets, mask, torch.tensor([0]), ahead)

    found = futures(batch, torch.tensor([0, 2]), None)
    assert found.wanted is not None  # y_0 bears no target
    assert found.wanted.tolist() == [[1, 2, 3], [0, 1, 2]]
    assert found.targets[0, 0].tolist() == [[1, 11], [2, 12], [3, 13]]
    assert found.mask[0, 0].tolist() == [[True, True], [True, True], [True, False]]
    assert found.mask[0, 1].tolist() == [[True, True], [True, False], [False, False]]  # y_4 does not exist
    assert found.ahead is not None
    assert found.ahead[0, 0, :, 0].tolist() == [101, 102, 103]
    assert found.ahead[0, 1, :2, 0].tolist() == [102, 103]
    assert bearing_timesteps(mask).tolist() == [1, 2, 3]
    counts = targets_per_timestep(mask)
    assert counts.tolist() == [0, 2, 2, 1]
    assert count_futures(counts, torch.tensor([0, 2]), None) == found.mask.sum()
