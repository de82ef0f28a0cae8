"""What the rows say of who is ahead: a verdict that does not claim more than the seeds show."""

from collections.abc import Iterator, Mapping

import pandas as pd

from memtrain.compare.declared import Declared
from memtrain.compare.estimates import Values, interquartile_mean, interval, probability_of_improvement
from memtrain.compare.family import PLACE, Comparison, Family, at, families
from memtrain.compare.protocol import protocol
from memtrain.compare.queries import (
    bounds,
    difficulty_name,
    diverged,
    experiments,
    place,
    ranked,
    readable,
    same,
    score_of,
)
from memtrain.compare.significance import LEVEL, MOST_SEEDS, SEEDS_NEEDED, SignificanceTest, SolveRate


def verdict(rows: pd.DataFrame, unfinished: pd.DataFrame, declared: Mapping[str, Declared]) -> str:
    """Every two methods that are to be compared, wherever they were evaluated: one sentence a line.

    "Ahead" is said with five seeds or more each and a two-sided p of at most 0.05, corrected by Holm over the family
    that the experiment has declared; else "undecided". The families are all declared pairs at all difficulties where
    they were trained, and the same where they were read elsewhere. A method with a seed that has diverged or not ended
    is named, and is never judged: the seeds that are left may be the luckier ones.

    Args:
        rows: see `memtrain.compare.rows`.
        unfinished: runs that have begun and not ended, see there.
        declared: of `memtrain.compare.declared.read_declared`; an experiment that is not there has declared nothing.
    """
    several = rows["experiment"].nunique() > 1
    sentences: list[str] = []
    for experiment, own in experiments(rows[rows["final"]]):
        said = declared.get(experiment, Declared())
        begun = unfinished[unfinished["experiment"] == experiment]
        judged = list(families(own, begun, said))
        for (difficulty, evaluated), group in own.groupby(PLACE, dropna=False):
            where = place(experiment if several else "", difficulty_name(own), difficulty, evaluated)
            here = [(family, *one) for family in judged for one in of_place(family, difficulty, evaluated)]
            sentences += [where + sentence for sentence in judgments(here, group)]
            sentences += [where + sentence for sentence in unjudged(group, at(begun, difficulty))]
        if own["method"].nunique() > 1:
            sentences += [f"{experiment}: {sentence}" for sentence in protocol(judged, said, own)]
    return "\n".join(sentences) or "There is only one method, and nothing to compare it with."


def of_place(family: Family, difficulty: float, evaluated: float) -> Iterator[tuple[Comparison, float]]:
    """The comparisons of a family at one pair of difficulties, with their adjusted p."""
    for one, p_value in family.results:
        here = same(pd.Series([one.difficulty]), difficulty) & same(pd.Series([one.evaluated]), evaluated)
        if here.all():
            yield one, p_value


def judgments(found: list[tuple[Family, Comparison, float]], rows: pd.DataFrame) -> Iterator[str]:
    """One sentence for each judged comparison at one pair of difficulties, and one for those with too few seeds.

    Args:
        found: the comparisons, each with its family and its adjusted p.
        rows: of the methods there.
    """
    metric, wrong = score_of(rows).name, set(rows.loc[diverged(rows), "method"])
    values = {str(method): own[metric] for method, own in rows.groupby("method", sort=False)}
    judged = {method for _, one, _ in found if one.p_value is not None for method in (one.better, one.worse)}
    estimates = {method: estimate(metric, values[method]) for method in judged}
    for family, one, p_value in found:
        if one.p_value is not None:
            yield judgment(family, one, p_value, estimates)
    named = {method for _, one, _ in found for method in (one.better, one.worse)}
    few = [m for m in ranked(rows) if m in named - wrong and len(values[m]) < SEEDS_NEEDED]
    if few:
        seeds = [f"{method} {', '.join(readable(metric, value) for value in values[method])}" for method in few]
        counts = " or ".join(str(count) for count in sorted({len(values[method]) for method in few}))
        plural = "" if counts == "1" else "s"
        yield (
            f"undecided: {counts} seed{plural}, at least {SEEDS_NEEDED} are needed ({metric} of each seed): "
            f"{'; '.join(seeds)}."
        )


def judgment(family: Family, one: Comparison, p_value: float, estimates: Mapping[str, str]) -> str:
    """Who is ahead, or that it is undecided, and what would decide it.

    Args:
        family: of the comparison.
        one: the comparison.
        p_value: adjusted for the family.
        estimates: what each method reaches over its seeds.
    """
    better = f"{one.better} ({estimates[one.better]}, {seeds_of(one.test, one.ahead)})"
    worse = f"{one.worse} ({estimates[one.worse]}, {seeds_of(one.test, one.behind)})"
    holds = p_value <= LEVEL and one.is_consistent
    relation = "is ahead of" if holds else "is undecided against"
    figures = f"P(better) {probability_of_improvement(one.ahead, one.behind):.2f}, {shown(p_value)}"
    sentence = f"{better} {relation} {worse}: {figures} ({one.test.name}, Holm over {len(family.comparisons)})"
    return f"{sentence}." if holds else f"{sentence}; {remedy(family, one)}."


def estimate(metric: str, values: pd.Series) -> str:
    """The interquartile mean over seeds and its interval."""
    numbers = values.to_numpy(dtype=float)
    return f"IQM {readable(metric, interquartile_mean(numbers))} {bounds(metric, interval(numbers))}"


def seeds_of(test: SignificanceTest, values: Values) -> str:
    """How many seeds there are, and how many of them have solved the task where that counts."""
    solved = f"solved by {test.solved(values)} of " if isinstance(test, SolveRate) else ""
    return f"{solved}{len(values)} seeds"


def shown(p_value: float) -> str:
    """A p-value in two digits."""
    return f"p = {p_value:.2g}" if p_value >= 0.0001 else "p < 0.0001"


def remedy(family: Family, one: Comparison) -> str:
    """How many seeds would decide a comparison."""
    if one.test.advantage(one.ahead, one.behind) == 0:
        return "neither is ahead on these seeds"
    seeds = family.deciding_seeds(one)
    if seeds is None:
        return f"if the order stayed as seen, not even {MOST_SEEDS} seeds each would decide"
    return f"if the order stayed as seen, {seeds} seeds each would decide"


def unjudged(rows: pd.DataFrame, begun: pd.DataFrame) -> Iterator[str]:
    """One sentence for each method with a seed that has diverged, or begun and not ended."""
    for method, named in named_seeds(rows[diverged(rows)]):
        yield f"{method} diverged (seed {named}: no finite loss), and is not judged."
    for method, named in named_seeds(begun):
        yield (
            f"{method} has begun and not ended (seed {named}: at work, killed or diverged, see log.txt), and is not "
            "judged."
        )


def named_seeds(runs: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Each method with its seeds, as "0, 2"."""
    for method, own in runs.groupby("method", sort=False):
        yield str(method), ", ".join(str(seed) for seed in own["seed"])
