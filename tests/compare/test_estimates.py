"""Interquartile mean, its bootstrap interval and the probability of improvement, by hand."""

import numpy as np
import pytest

from memtrain.compare.estimates import interquartile_mean, interval, probability_of_improvement


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7], 7),
        ([0, 3, 9], 4),  # of three seeds none is left out
        ([100, 10, 0, 30, 20], 20),  # of five the lowest and the highest
        ([0, 0, 1, 2, 3, 4, 5, 6, 90, 99], 3.5),  # of ten two on each side
    ],
)
def test_the_interquartile_mean_is_that_of_the_middle_half(values: list[float], expected: float) -> None:
    assert interquartile_mean(np.array(values, dtype=float)) == expected


def test_the_interval_of_three_seeds_is_their_range() -> None:
    # one resample in 27 has the lowest seed alone, which is more than 2.5 %
    assert interval(np.array([0.2, 0.5, 0.3])) == pytest.approx((0.2, 0.5))


def test_the_interval_lies_around_the_mean_is_narrower_with_more_seeds_and_always_the_same() -> None:
    few, many = np.linspace(0, 1, 5), np.linspace(0, 1, 50)
    low, high = interval(few) or (0, 0)
    assert 0 < low < 0.5 < high < 1
    assert interval(few) == (low, high)
    narrow = interval(many) or (0, 1)
    assert narrow[1] - narrow[0] < 0.5 * (high - low)


def test_equal_seeds_have_an_interval_without_width() -> None:
    assert interval(np.ones(5)) == (1.0, 1.0)


def test_two_seeds_have_no_interval() -> None:
    assert interval(np.array([0.1, 0.9])) is None


def test_ties_count_half_in_the_probability_of_improvement() -> None:
    # 1 < 2, 2 = 2, 3 > 2
    assert probability_of_improvement(np.array([1.0, 2.0, 3.0]), np.array([2.0])) == 0.5
    assert probability_of_improvement(np.array([3.0, 4.0]), np.array([1.0, 2.0, 3.5])) == pytest.approx(5 / 6)
