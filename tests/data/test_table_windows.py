"""Windows of several series: none across a boundary in training, each held-out value once in evaluation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.data.blocks import Split
from memtrain.data.tables.reference import (
    event_loss,
    gaussian_loss,
    last_observed,
    mean_error,
    mean_error_of_all,
    naive,
)
from memtrain.data.tables.windows import (
    TableDataset,
    WindowedRows,
    Windows,
    evaluation_windows,
    parts,
    training_windows,
    within,
)

SPLITS: tuple[Split, ...] = ("train", "val", "test")


def test_parts_are_the_ends_of_every_series() -> None:
    """Series of 10 and 20 rows: 2 and 4 for the test, 2 and 4 before that for validation."""
    found = parts(np.array([0, 10, 30]), 0.2, 0.2)
    assert [bounds.tolist() for split in SPLITS for bounds in found[split]] == [
        [0, 10], [6, 22], [6, 22], [8, 26], [8, 26], [10, 30]
    ]  # fmt: skip


def test_training_windows_end_with_their_part() -> None:
    """Rows 0..9, windows of 4 timesteps whose targets stand a row later, every second row: starts 1, 3 and 5."""
    windows = training_windows(np.array([0]), np.array([10]), length=4, lead=1, stride=2)
    assert windows.starts.tolist() == [1, 3, 5]
    assert windows.highs.tolist() == [6, 8, 10]


def test_evaluation_windows_begin_with_context_of_before() -> None:
    """Rows 10..19 are held out; windows of 6 timesteps, 2 of them context: targets 10..13, 14..17, 18..19."""
    windows = evaluation_windows(np.array([0]), np.array([10]), np.array([20]), length=6, lead=1, context=2)
    assert windows.starts.tolist() == [7, 11, 15]
    assert windows.lows.tolist() == [10, 14, 18]
    assert windows.highs.tolist() == [14, 18, 20]


def numbered(lengths: list[int]) -> WindowedRows:
    """Rows whose only input and target is their number; the last is missing."""
    count = sum(lengths)
    numbers = np.append(np.arange(count), -1).astype(np.float32)[:, None]
    there = (numbers >= 0).astype(np.float32)
    return WindowedRows(np.concatenate([numbers, there], 1), numbers, numbers, there > 0, None)


LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    lengths=LENGTHS,
    length=st.integers(2, 9),
    lead=st.integers(0, 1),
    stride=st.integers(1, 5),
    context=st.integers(0, 8),
)
def test_no_window_leaves_its_part_and_every_held_out_row_is_a_target_once(
    lengths: list[int], length: int, lead: int, stride: int, context: int
) -> None:
    starts = np.concatenate([[0], np.cumsum(lengths)])
    series = np.repeat(np.arange(len(lengths)), lengths)
    rows, bounds = numbered(lengths), parts(starts, 0.2, 0.3)
    for split in SPLITS:
        first, after = bounds[split]
        if split == "train":
            windows = training_windows(first, after, length, lead, stride)
        else:
            windows = evaluation_windows(starts[:-1], first, after, length, lead, min(context, length - 1))
        if not len(windows.starts):
            continue
        dataset = TableDataset(rows, windows, length, lead, split, seed=0, samples=10**6)
        found = dataset.rows(np.arange(len(windows.starts)))
        part = np.concatenate([np.arange(*pair) for pair in zip(first, after, strict=True)])
        targets = found.targets[found.mask]
        assert np.isin(targets, part).all()
        if split == "train":
            seen = found.inputs[..., 0][found.inputs[..., 1] > 0]
            assert np.isin(seen, part).all()
            assert found.ahead is not None
            assert np.isin(found.ahead[found.ahead >= 0], part).all()
        else:
            reachable = part if not lead else np.setdiff1d(part, starts[:-1])  # nothing comes before a first row
            assert sorted(targets.tolist()) == reachable.tolist()
        numbers = found.inputs[..., 0]
        for window, target, mask in zip(numbers, found.targets[..., 0], found.mask[..., 0], strict=True):
            assert (target[mask] - window[mask] == lead).all()
            assert len({*series[window[window >= 0].astype(int)]}) == 1


def test_training_takes_each_window_once_a_pass() -> None:
    windows = training_windows(np.array([0]), np.array([20]), length=4, lead=1, stride=1)
    dataset = TableDataset(numbered([20]), windows, 4, 1, "train", seed=3, samples=1)
    starts = dataset.rows(np.arange(32)).inputs[:, 0, 0]
    assert sorted(starts[:16].tolist()) == sorted(starts[16:].tolist()) == list(range(16))
    assert starts[:16].tolist() != starts[16:].tolist()
    assert np.array_equal(dataset.rows(np.array([30, 5])).inputs[:, 0, 0], starts[[30, 5]])


def test_windows_without_any_target_are_left_out() -> None:
    windows = Windows(np.array([0, 4]), np.array([1, 5]), np.array([4, 8]))
    there = np.zeros(8, np.bool_)
    there[[0, 6]] = True
    assert windows.with_targets(there).starts.tolist() == [4]


def test_counting_within() -> None:
    assert within(np.array([2, 0, 3])).tolist() == [0, 1, 0, 1, 2]


NAN = np.nan
TWO_SERIES = np.array([[1.0], [NAN], [3.0], [10.0], [20.0]])
FIRSTS = np.array([0, 0, 0, 3, 3])


def test_naive_forecasts_look_back_within_a_series() -> None:
    assert np.array_equal(last_observed(TWO_SERIES, FIRSTS)[:, 0], [1, 1, 3, 10, 20])
    assert np.array_equal(naive(TWO_SERIES, FIRSTS, 1)[:, 0], [NAN, 1, 1, NAN, 10], equal_nan=True)
    assert np.array_equal(naive(TWO_SERIES, FIRSTS, 2)[:, 0], [NAN, NAN, 1, NAN, NAN], equal_nan=True)


def test_errors_are_means_over_what_is_known_and_predicted() -> None:
    """Errors 2 (row 2, from row 0) and 10 (row 4, from row 3); row 1 is missing."""
    every = np.ones(5, np.bool_)
    assert mean_error(naive(TWO_SERIES, FIRSTS, 1), TWO_SERIES, every) == [6.0]
    assert mean_error_of_all(naive(TWO_SERIES, FIRSTS, 1), TWO_SERIES, every & (FIRSTS == 0)) == 2.0


def test_losses_without_memory() -> None:
    """A standard normal: log sqrt(2 pi) + 1/2 at 1. Events at a rate of 1/4: log 4 where one is, log 4/3 where not."""
    train = np.array([[-1.0], [1.0]])
    assert gaussian_loss(train, np.array([[1.0], [NAN]])) == pytest.approx(0.5 * np.log(2 * np.pi) + 0.5)
    events = np.array([[1.0], [0.0], [0.0], [0.0]])
    assert event_loss(events, np.array([[1.0], [0.0]])) == pytest.approx((np.log(4) + np.log(4 / 3)) / 2)
