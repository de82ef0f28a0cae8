"""Whether a difference over seeds may be chance: two exact tests, and Holm's correction over a family of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from memtrain.compare.estimates import Values, probability_of_improvement

LEVEL = 0.05
"""Probability of one false claim or more in a family, at most."""
SEEDS_NEEDED = 5
"""Seeds of a method, below which nothing is claimed of it."""
MOST_PERMUTATIONS = 200_000
"""Permutations of seeds with ties up to which all are tried, as those of 10 against 10; beyond, as many are drawn."""
MOST_SEEDS = 50
"""Seeds up to which it is looked for how many would decide."""


class SignificanceTest(Protocol):
    """A two-sided test of two methods' seeds, where more is better."""

    @property
    def name(self) -> str:
        """In a sentence."""

    def advantage(self, first: Values, second: Values) -> float:
        """How far the first is ahead, in -1..1; 0 where neither is."""

    def p_value(self, first: Values, second: Values) -> float:
        """Probability of as large a difference, were the seeds of both from one distribution."""

    def least_p(self, first: int, second: int) -> float:
        """The smallest p that so many seeds can give: where each seed of one is ahead of each of the other."""

    def p_with(self, seeds: int, first: Values, second: Values) -> float:
        """The p of so many seeds a method, were their order as seen."""


@dataclass(frozen=True)
class Permutation:
    """Exact permutation test of the probability of improvement: seeds are dealt to the two methods in every way.

    It sees the order of the seeds alone, so that it is the same for any scale of the score.
    """

    @property
    def name(self) -> str:
        """In a sentence."""
        return "permutation"

    def advantage(self, first: Values, second: Values) -> float:
        """Twice the probability of improvement, less 1."""
        return 2 * probability_of_improvement(first, second) - 1

    def p_value(self, first: Values, second: Values) -> float:
        """See `SignificanceTest` and `permutation_p`; without ties the distribution of the ranks is known."""
        if len(np.unique([*first, *second])) == len(first) + len(second):
            return rank_p(len(first), len(second), int((first[:, None] > second[None, :]).sum()))
        return float(permutation_p(first, second))

    def least_p(self, first: int, second: int) -> float:
        """See `SignificanceTest`."""
        return rank_p(first, second, first * second)

    def p_with(self, seeds: int, first: Values, second: Values) -> float:
        """See `SignificanceTest`; of new seeds, none has the same value as another."""
        ahead = (1 + abs(self.advantage(first, second))) / 2
        return rank_p(seeds, seeds, int(ahead * seeds**2 + 1e-9))


@dataclass(frozen=True)
class SolveRate:
    """Fisher's exact test of how many seeds solve the task, for tasks that a run solves or fails.

    Args:
        solved_at: value from which on a seed counts as one that has solved it.
    """

    solved_at: float

    @property
    def name(self) -> str:
        """In a sentence."""
        return f"Fisher's test of who reaches {100 * self.solved_at:g} %"

    def solved(self, values: Values) -> int:
        """Seeds that have solved it."""
        return int((values >= self.solved_at).sum())

    def advantage(self, first: Values, second: Values) -> float:
        """Difference of the solve rates."""
        return self.solved(first) / len(first) - self.solved(second) / len(second)

    def p_value(self, first: Values, second: Values) -> float:
        """See `SignificanceTest`."""
        return fisher_p(self.solved(first), len(first), self.solved(second), len(second))

    def least_p(self, first: int, second: int) -> float:
        """See `SignificanceTest`."""
        return fisher_p(first, first, 0, second)

    def p_with(self, seeds: int, first: Values, second: Values) -> float:
        """See `SignificanceTest`; a rate that is no whole number of seeds is rounded towards the other's."""
        low, high = sorted((self.solved(first) / len(first), self.solved(second) / len(second)))
        return fisher_p(int(high * seeds + 1e-9), seeds, min(seeds, int(np.ceil(low * seeds - 1e-9))), seeds)


def permutation_p(first: NDArray[np.float64], second: NDArray[np.float64]) -> Any:
    """Two-sided p of the permutation test of the seeds' ranks, ties counted half.

    Args:
        first: `[..., S]`.
        second: `[..., S']`.

    Returns:
        `[...]`: exact up to `MOST_PERMUTATIONS`; beyond, from that many draws with a fixed seed.
    """
    ranks = stats.rankdata(np.concatenate([first, second], axis=-1), axis=-1)
    return stats.permutation_test(
        (ranks[..., : first.shape[-1]], ranks[..., first.shape[-1] :]),
        lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
        permutation_type="independent",
        vectorized=True,
        n_resamples=MOST_PERMUTATIONS,
        alternative="two-sided",
        axis=-1,
        rng=np.random.default_rng(0),
    ).pvalue


def rank_p(first: int, second: int, ahead: int) -> float:
    """Exact two-sided p of the permutation test without ties.

    Args:
        first: seeds of one method.
        second: seeds of the other.
        ahead: pairs of seeds in which the first is ahead, of `first * second`.
    """
    below = np.full(first, ahead // first)  # how many seeds of the second are behind each of the first
    below[: ahead % first] += 1
    return float(stats.mannwhitneyu(below - 0.5, np.arange(second), alternative="two-sided", method="exact").pvalue)


def fisher_p(solved: int, seeds: int, others_solved: int, others: int) -> float:
    """Two-sided p of Fisher's exact test of two solve rates."""
    table = [[solved, seeds - solved], [others_solved, others - others_solved]]
    return float(stats.fisher_exact(table, alternative="two-sided").pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: those up to `LEVEL` are significant, with one false claim or more in `LEVEL` at most.

    Args:
        p_values: of all comparisons of a family; 1 for one that was not tested.
    """
    order = np.argsort(p_values, kind="stable")
    factors = len(order) - np.arange(len(order))
    adjusted = np.minimum(1.0, np.maximum.accumulate(factors * np.asarray(p_values, dtype=float)[order]))
    return [float(value) for value in adjusted[np.argsort(order, kind="stable")]]


def least_seeds(level: float) -> int:
    """Seeds a method with which either test can reach a level at all, `SEEDS_NEEDED` at least."""
    return next(n for n in range(SEEDS_NEEDED, 10 * MOST_SEEDS) if Permutation().least_p(n, n) <= level)


def deciding_seeds(test: SignificanceTest, first: Values, second: Values, level: float) -> int | None:
    """Seeds a method with which a test would reach a level, were their order as seen; more than there are now.

    Returns:
        None where no number up to `MOST_SEEDS` would.
    """
    if test.advantage(first, second) == 0:
        return None
    more = range(max(SEEDS_NEEDED, len(first) + 1, len(second) + 1), MOST_SEEDS + 1)
    return next((n for n in more if test.p_with(n, first, second) <= level), None)
