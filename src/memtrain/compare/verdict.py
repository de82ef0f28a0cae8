"""What the rows say: a summary per method, and a verdict that does not claim more than the seeds show."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from memtrain.compare.queries import (
    difficulty_name,
    diverged,
    experiments,
    ranked,
    readable,
    same,
    score_of,
    trained_at,
)

SEEDS_NEEDED = 3


def summarize(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean, minimum and maximum over seeds of each method, at the difficulty it was trained at.

    Args:
        rows: see `memtrain.compare.rows`.

    Returns:
        One entry for each experiment, method, reading, stage and difficulty. `diverged` counts the seeds whose loss or
        score is no finite number.
    """
    entries = []
    for experiment, own in experiments(trained_at(rows)):
        metric = score_of(own).name
        keys = ["method", "reading", "stage", "difficulty"]
        for (method, reading, stage, difficulty), group in own.groupby(keys, sort=False, dropna=False):
            entries.append(
                {
                    "experiment": experiment,
                    "method": method,
                    "reading": reading,
                    "stage": stage,
                    "difficulty": None if pd.isna(difficulty) else difficulty,
                    "score": metric,
                    "mean": float(group[metric].mean(skipna=False)),
                    "minimum": float(group[metric].min(skipna=False)),
                    "maximum": float(group[metric].max(skipna=False)),
                    "seeds": int(group["seed"].nunique()),
                    "diverged": int(diverged(group).sum()),
                }
            )
    return entries


def verdict(rows: pd.DataFrame, unfinished: pd.DataFrame) -> str:
    """Every method against all that are behind it, wherever they were evaluated: one sentence a line.

    Args:
        rows: see `memtrain.compare.rows`.
        unfinished: runs that have begun and not ended, see there.

    Returns:
        "ahead" only with three seeds or more each and a difference above the spread, which is the sum of the two sample
        standard deviations; else "undecided". A method with a seed that has diverged or not ended is named, and is
        never judged: the seeds that are left may be the luckier ones.
    """
    several = rows["experiment"].nunique() > 1
    sentences = []
    for experiment, own in experiments(rows[rows["final"]]):
        metric, name = score_of(own).name, difficulty_name(own)
        for (difficulty, evaluated), group in own.groupby(["difficulty", "evaluation_difficulty"], dropna=False):
            where = place(experiment if several else "", name, difficulty, evaluated)
            wrong = group[diverged(group)]
            values = {str(method): seeds[metric] for method, seeds in group.groupby("method", sort=False)}
            begun = unfinished[(unfinished["experiment"] == experiment) & same(unfinished["difficulty"], difficulty)]
            unjudged = {*wrong["method"], *begun["method"]}
            finite = [method for method in ranked(group) if method not in unjudged]
            judged = judge(metric, {method: values[method] for method in finite})
            sentences += [where + sentence for sentence in judged]
            for method, named in named_seeds(wrong):
                sentences.append(f"{where}{method} diverged (seed {named}: no finite loss), and is not judged.")
            for method, named in named_seeds(begun):
                sentences.append(
                    f"{where}{method} has begun and not ended (seed {named}: at work, killed or diverged, "
                    "see log.txt), and is not judged."
                )
    return "\n".join(sentences) or "There is only one method, and nothing to compare it with."


def named_seeds(runs: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Each method with its seeds, as "0, 2"."""
    for method, own in runs.groupby("method", sort=False):
        yield str(method), ", ".join(str(seed) for seed in own["seed"])


def place(experiment: str, name: str, difficulty: float | None, evaluated: float | None) -> str:
    """Where two methods meet, as the beginning of a sentence; `experiment` is empty where there is only one."""
    start = f"{experiment}, " if experiment else ""
    if pd.isna(difficulty):
        return f"{experiment}: " if experiment else ""
    if difficulty == evaluated:
        return f"{start}{name} {difficulty:g}: "
    return f"{start}{name} {evaluated:g}, trained at {difficulty:g}: "


def judge(metric: str, values: dict[str, pd.Series]) -> Iterator[str]:
    """One sentence for each method that others are behind, and one for those with too few seeds.

    Args:
        metric: name of the score.
        values: each method's values over its seeds, the best method in front.
    """
    if len(values) < 2:
        return
    means = {method: readable(metric, own.mean()) for method, own in values.items()}
    enough = [method for method, own in values.items() if len(own) >= SEEDS_NEEDED]
    for position, better in enumerate(enough[:-1]):
        ahead: list[str] = []
        undecided: list[str] = []
        for other in enough[position + 1 :]:
            spread = values[better].std() + values[other].std()
            decided = abs(values[better].mean() - values[other].mean()) > spread
            (ahead if decided else undecided).append(f"{other} ({means[other]}; spread {readable(metric, spread)})")
        sides = [f"ahead of {', '.join(ahead)}"] if ahead else []
        sides += [f"undecided against {', '.join(undecided)}"] if undecided else []
        yield f"{better} ({metric} {means[better]}) is {'; '.join(sides)}."
    few = [f"{method} ({means[method]}; {len(own)})" for method, own in values.items() if method not in enough]
    if few:
        yield f"undecided with fewer than {SEEDS_NEEDED} seeds ({metric}; seeds): {', '.join(few)}."
