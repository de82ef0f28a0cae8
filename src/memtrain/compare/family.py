"""The comparisons that an experiment makes, in families: Holm's correction holds over each."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import pandas as pd

from memtrain.compare.declared import Declared
from memtrain.compare.estimates import Values, interquartile_mean
from memtrain.compare.queries import diverged, ranked, same, score_of, stayed_at_chance, trained_at
from memtrain.compare.significance import (
    LEVEL,
    SEEDS_NEEDED,
    Permutation,
    SignificanceTest,
    SolveRate,
    deciding_seeds,
    holm,
    least_seeds,
)

PLACE = ["difficulty", "evaluation_difficulty"]


@dataclass(frozen=True)
class Comparison:
    """Two methods at one pair of difficulties.

    Attributes:
        difficulty: of training; NaN where there is none.
        evaluated: difficulty that they are read at.
        better: name of the method that is ahead on its seeds.
        worse: name of the other.
        ahead: values of the better, one a seed, where more is better.
        behind: values of the worse.
        test: of the two.
        p_value: of the test; None where it is not judged.
    """

    difficulty: float
    evaluated: float
    better: str
    worse: str
    ahead: Values
    behind: Values
    test: SignificanceTest
    p_value: float | None

    @property
    def is_consistent(self) -> bool:
        """Whether the interquartile means have the order that was tested."""
        return bool(interquartile_mean(self.ahead) >= interquartile_mean(self.behind))


@dataclass(frozen=True)
class Family:
    """Comparisons of which no false one may be claimed, but for a probability of `LEVEL`.

    Attributes:
        at_training: whether methods are read at the difficulties of their training, or elsewhere.
        comparisons: all of them, those that are not judged included: a family does not shrink by what goes wrong.
    """

    at_training: bool
    comparisons: list[Comparison]

    @cached_property
    def adjusted(self) -> list[float]:
        """Holm's adjusted p of each comparison."""
        return holm([1.0 if one.p_value is None else one.p_value for one in self.comparisons])

    @property
    def results(self) -> list[tuple[Comparison, float]]:
        """Each comparison with its adjusted p."""
        return list(zip(self.comparisons, self.adjusted, strict=True))

    @cached_property
    def first_level(self) -> float:
        """What the smallest p must not exceed, or nothing is significant."""
        return LEVEL / len(self.comparisons)

    @cached_property
    def next_level(self) -> float:
        """What the smallest p that is not significant must not exceed."""
        return LEVEL / max(1, sum(p > LEVEL for p in self.adjusted))

    @cached_property
    def least_p(self) -> float:
        """The smallest p that any of its comparisons could have with its seeds; 1 where none has any on both sides."""
        sides = [(one.test, len(one.ahead), len(one.behind)) for one in self.comparisons]
        return min((test.least_p(*seeds) for test, *seeds in sides if all(seeds)), default=1.0)

    @property
    def least_seeds(self) -> int:
        """Seeds a method with which its first comparison can be decided at all."""
        return least_seeds(self.first_level)

    def deciding_seeds(self, comparison: Comparison) -> int | None:
        """Seeds a method that would decide a comparison, were their order as seen; None where not even `MOST_SEEDS`."""
        return deciding_seeds(comparison.test, comparison.ahead, comparison.behind, self.next_level)


def families(rows: pd.DataFrame, unfinished: pd.DataFrame, declared: Declared) -> Iterator[Family]:
    """The families of an experiment: what is read where it was trained, and what is read elsewhere.

    Args:
        rows: the experiment's rows of `memtrain.compare.rows` that are final.
        unfinished: its runs that have begun and not ended.
        declared: what it has declared.
    """
    own = rows.index.isin(trained_at(rows).index)
    for at_training, part in ((True, rows[own]), (False, rows[~own])):
        places = part.groupby(PLACE, dropna=False)
        found = [compare(group, at(unfinished, place[0]), declared) for place, group in places]
        if any(found):
            yield Family(at_training, list(itertools.chain.from_iterable(found)))


def test_of(accuracies: Values, chance: float, solved_at: float | None) -> SignificanceTest:
    """Fisher's test of solve rates where each seed solves the task or stays at chance, else the permutation test.

    Both are exact whichever is taken: that depends on the seeds of the two methods together, not on whose they are.

    Args:
        accuracies: of the seeds of both methods; none where they are compared by something else.
        chance: accuracy of a guess; NaN where it is not known.
        solved_at: accuracy from which on a seed has solved the task; None: none is declared.
    """
    if solved_at is None or pd.isna(chance) or not len(accuracies):
        return Permutation()
    either = (accuracies >= solved_at) | stayed_at_chance(accuracies, chance)
    return SolveRate(solved_at) if np.all(either) else Permutation()


def at(unfinished: pd.DataFrame, difficulty: float) -> pd.DataFrame:
    """The unfinished runs at one difficulty."""
    return unfinished[same(unfinished["difficulty"], difficulty)]


def compare(rows: pd.DataFrame, begun: pd.DataFrame, declared: Declared) -> list[Comparison]:
    """The comparisons at one pair of difficulties, the best method in front.

    Args:
        rows: of the methods there.
        begun: unfinished runs there.
        declared: by the experiment.
    """
    score, unjudged = score_of(rows), {*rows.loc[diverged(rows), "method"], *begun["method"]}
    sign = 1.0 if score.higher_is_better else -1.0
    values = {str(name): sign * own[score.name].to_numpy(dtype=float) for name, own in rows.groupby("method")}
    difficulty, evaluated = rows[PLACE].iloc[0]
    chance, nothing = rows["chance"].mean(), np.empty(0)
    found = []
    for first, second in combinations(dict.fromkeys([*ranked(rows), *begun["method"]]), 2):
        if declared.family is not None and frozenset((first, second)) not in declared.family:
            continue
        ahead, behind = values.get(first, nothing), values.get(second, nothing)
        test = test_of(np.append(ahead, behind) if score.name == "accuracy" else nothing, chance, declared.solved_at)
        p_value = None
        if not unjudged & {first, second} and min(len(ahead), len(behind)) >= SEEDS_NEEDED:
            p_value = test.p_value(ahead, behind)
            if test.advantage(ahead, behind) < 0:
                first, second, ahead, behind = second, first, behind, ahead
        found.append(Comparison(difficulty, evaluated, first, second, ahead, behind, test, p_value))
    return found
