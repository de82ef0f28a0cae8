"""The tests behind a verdict: worked by hand, against all permutations, and simulated."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from memtrain.compare.significance import (
    Permutation,
    SignificanceTest,
    SolveRate,
    deciding_seeds,
    fisher_p,
    holm,
    least_seeds,
    permutation_p,
    rank_p,
)

SIMULATED = 2_000
SLACK = 3 * math.sqrt(0.05 * 0.95 / SIMULATED)
"""Three standard deviations of a share of 5 % among the simulated comparisons."""


def separated(seeds: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.arange(seeds) + 100.0, np.arange(seeds) + 0.0


@pytest.mark.parametrize(("seeds", "expected"), [(3, 2 / 20), (4, 2 / 70), (5, 2 / 252), (10, 2 / 184_756)])
def test_the_smallest_p_is_two_in_the_number_of_permutations(seeds: int, expected: float) -> None:
    permutation = Permutation()
    assert permutation.p_value(*separated(seeds)) == pytest.approx(expected)
    assert permutation.least_p(seeds, seeds) == pytest.approx(expected)
    assert SolveRate(50.0).p_value(*separated(seeds)) == pytest.approx(expected)


def by_hand(first: list[int], second: list[int]) -> float:
    """Share of the deals of all seeds with the first as far from the middle, in pairs that it wins, ties half."""
    pooled = first + second

    def excess(chosen: tuple[int, ...]) -> float:
        rest = [value for index, value in enumerate(pooled) if index not in chosen]
        return sum(np.sign(pooled[index] - other) for index in chosen for other in rest)

    deals = [excess(chosen) for chosen in itertools.combinations(range(len(pooled)), len(first))]
    seen = excess(tuple(range(len(first))))
    return float(np.mean(np.abs(deals) >= abs(seen)))


VALUES = st.lists(st.integers(0, 4), min_size=4, max_size=4)


@settings(max_examples=25, deadline=None)
@given(VALUES, VALUES)
def test_the_permutation_test_tries_every_permutation(first: list[int], second: list[int]) -> None:
    found = Permutation().p_value(np.array(first, dtype=float), np.array(second, dtype=float))
    assert found == pytest.approx(by_hand(first, second))


def test_without_ties_the_known_distribution_is_that_of_all_permutations() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(20, 5)), generator.normal(size=(20, 6))
    wins = (first[:, :, None] > second[:, None, :]).sum(axis=(1, 2))
    assert [rank_p(5, 6, int(count)) for count in wins] == pytest.approx(list(permutation_p(first, second)))


def test_the_permutation_test_is_that_of_the_order_alone() -> None:
    first, second = np.array([1.0, 2, 4, 6, 9]), np.array([0.0, 3, 5, 7, 8])
    permutation = Permutation()
    p_value = permutation.p_value(first, second)
    assert permutation.p_value(np.exp(first), np.exp(second)) == p_value
    assert permutation.p_value(second, first) == p_value


def test_fishers_test_by_hand() -> None:
    assert fisher_p(5, 5, 0, 5) == pytest.approx(2 / 252)
    # four of ten fail, all of one method: C(5, 4) of C(10, 4) ways, and as many the other way round
    assert fisher_p(5, 5, 1, 5) == pytest.approx(10 / 210)
    assert fisher_p(3, 5, 3, 5) == 1


def test_holms_correction_by_hand() -> None:
    # 0.01 * 3, 0.03 * 2, and 0.04, which must not be below the one before
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([0.04]) == [0.04]


def test_what_holm_rejects_is_decided_step_by_step() -> None:
    # 0.012 <= 0.05 / 4, 0.016 <= 0.05 / 3, 0.03 > 0.05 / 2, after which nothing counts
    assert [p <= 0.05 for p in holm([0.012, 0.016, 0.03, 0.04])] == [True, True, False, False]


@pytest.mark.parametrize(("comparisons", "seeds"), [(1, 5), (6, 5), (7, 6), (23, 6), (24, 7), (84, 7)])
def test_a_larger_family_needs_more_seeds_at_least(comparisons: int, seeds: int) -> None:
    # 2/252 * 6 = 0.048, 2/924 * 23 = 0.0498, 2/3432 * 84 = 0.049
    assert least_seeds(0.05 / comparisons) == seeds


@pytest.mark.parametrize("test", [Permutation(), SolveRate(2.5)], ids=["permutation", "Fisher"])
def test_the_seeds_that_would_decide_are_the_fewest(test: SignificanceTest) -> None:
    first, second = np.array([1.0, 3, 4, 5, 6]), np.array([0.0, 1.5, 2, 2.2, 3.5])
    assert test.p_value(first, second) > 0.05
    seeds = deciding_seeds(test, first, second, 0.05)
    assert seeds is not None
    assert test.p_with(seeds, first, second) <= 0.05
    assert all(test.p_with(fewer, first, second) > 0.05 for fewer in range(6, seeds))


def test_where_neither_is_ahead_no_number_of_seeds_would_decide() -> None:
    same = np.array([1.0, 2, 3, 4, 5])
    assert deciding_seeds(Permutation(), same, same, 0.05) is None
    assert deciding_seeds(SolveRate(9.0), same, same, 0.05) is None


def test_of_a_small_advantage_fifty_seeds_say_nothing() -> None:
    first, second = np.array([1.0, 2, 3, 4, 5.1]), np.array([1.5, 2.5, 3.5, 4.5, 0.5])
    assert deciding_seeds(Permutation(), first, second, 0.001) is None


NOISE: dict[str, Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]] = {
    "normal": lambda generator, shape: generator.normal(size=shape),
    "heavy tails": lambda generator, shape: generator.standard_cauchy(size=shape),
    "solve or fail": lambda generator, shape: (
        generator.integers(0, 2, size=shape) + 0.01 * generator.normal(size=shape)
    ),
    "ties": lambda generator, shape: generator.integers(0, 3, size=shape).astype(float),
}


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize(("first", "second"), [(5, 5), (5, 6)])
def test_of_equal_methods_one_in_twenty_is_called_better_at_most(noise: str, first: int, second: int) -> None:
    generator = np.random.default_rng(1)
    draws = NOISE[noise](generator, (SIMULATED, first + second))
    false = permutation_p(draws[:, :first], draws[:, first:]) <= 0.05
    assert false.mean() <= 0.05 + SLACK


def test_of_equal_solve_rates_one_in_twenty_is_called_better_at_most() -> None:
    test, generator = SolveRate(0.5), np.random.default_rng(2)
    p_of = {counts: fisher_p(counts[0], 10, counts[1], 10) for counts in itertools.product(range(11), repeat=2)}
    assert test.p_value(np.ones(10), np.zeros(10)) == p_of[10, 0]
    for rate in (0.2, 0.5, 0.9):
        counts = generator.binomial(10, rate, size=(SIMULATED, 2))
        assert np.mean([p_of[int(a), int(b)] <= 0.05 for a, b in counts]) <= 0.05 + SLACK


def test_of_families_of_equal_methods_one_in_twenty_has_a_false_claim_at_most() -> None:
    generator = np.random.default_rng(3)
    methods = generator.normal(size=(3, SIMULATED, 6))
    p_values = [permutation_p(methods[a], methods[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    alone = np.min(p_values, axis=0) <= 0.05
    assert alone.mean() > 0.05 + SLACK  # what the correction is for
    claimed = [min(holm(family)) <= 0.05 for family in np.transpose(p_values)]
    assert 0 < np.mean(claimed) <= 0.05 + SLACK


def test_power_grows_with_seeds() -> None:
    test, generator = Permutation(), np.random.default_rng(4)
    power = []
    for seeds in (5, 7, 10, 15):
        first, second = generator.normal(1.2, 1, (300, seeds)), generator.normal(0, 1, (300, seeds))
        power.append(np.mean([test.p_value(a, b) <= 0.05 for a, b in zip(first, second, strict=True)]))
    assert all(more > fewer + 0.05 for fewer, more in itertools.pairwise(power)), power
    assert power[-1] > 0.85
