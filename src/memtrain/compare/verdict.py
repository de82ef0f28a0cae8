"""What the rows say: a summary per method, and a verdict that does not claim more than the seeds show."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

SEEDS_NEEDED = 3
NOTHING_LEARNED = 0.05
"""Part of the way from chance to perfect below which a teacher counts as having stayed at chance."""


def metric_of(rows: pd.DataFrame) -> str:
    """What methods are compared by: accuracy where chance is known (probes), else loss (text, images)."""
    return "accuracy" if rows["chance"].notna().all() else "loss"


def summarise(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean, minimum and maximum over seeds of each method, at the difficulty it was trained at.

    Args:
        rows: see `memtrain.compare.rows`.
    """
    own = trained_at(rows)
    metric = metric_of(rows)
    return [
        {
            "method": method,
            "difficulty": None if pd.isna(difficulty) else difficulty,
            "metric": metric,
            "mean": float(group[metric].mean()),
            "minimum": float(group[metric].min()),
            "maximum": float(group[metric].max()),
            "seeds": int(group["seed"].nunique()),
        }
        for (method, difficulty), group in own.groupby(["method", "difficulty"], sort=False, dropna=False)
    ]


def trained_at(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that are read at the difficulty of their training."""
    return rows[rows["difficulty"].isna() | (rows["evaluation_difficulty"] == rows["difficulty"])]


def verdict(rows: pd.DataFrame) -> str:
    """The best method against each other one, wherever they were evaluated: one sentence a line.

    Args:
        rows: see `memtrain.compare.rows`.

    Returns:
        "ahead" only with three seeds or more each and a difference above the spread, which is the sum of the two sample
        standard deviations; else "undecided".
    """
    metric = metric_of(rows)
    places = ["experiment", "difficulty_name", "difficulty", "evaluation_difficulty"]
    sentences = []
    for (_, name, difficulty, evaluated), group in rows[rows["final"]].groupby(places, dropna=False):
        where = place(name, difficulty, evaluated)
        values = {method: seeds[metric] for method, seeds in group.groupby("method", sort=False)}
        ranked = sorted(values, key=lambda method: values[method].mean(), reverse=metric == "accuracy")
        for other in ranked[1:]:
            sentences.append(where + judge(metric, ranked[0], values[ranked[0]], other, values[other]))
    return "\n".join(sentences) or "There is only one method, and nothing to compare it with."


def place(name: str | None, difficulty: float | None, evaluated: float | None) -> str:
    """Where two methods meet, as the beginning of a sentence."""
    if pd.isna(difficulty):
        return ""
    if difficulty == evaluated:
        return f"{name} {difficulty:g}: "
    return f"{name} {evaluated:g}, trained at {difficulty:g}: "


def judge(metric: str, best: str, best_values: pd.Series, other: str, other_values: pd.Series) -> str:
    """One sentence about two methods, given each one's values over its seeds."""
    difference = abs(best_values.mean() - other_values.mean())
    spread = best_values.std() + other_values.std()  # undefined for one seed
    seeds = min(len(best_values), len(other_values))
    figures = f"{metric} {readable(metric, best_values.mean())} against {readable(metric, other_values.mean())}"
    if seeds < SEEDS_NEEDED:
        return f"{best} and {other} are undecided ({figures}; {seeds} of {SEEDS_NEEDED} seeds)."
    if difference <= spread:
        return f"{best} and {other} are undecided ({figures}; within the spread of {readable(metric, spread)})."
    return f"{best} is ahead of {other} ({figures}; spread {readable(metric, spread)}, {seeds} seeds)."


def readable(metric: str, value: float) -> str:
    """Accuracy in percent, loss in nats."""
    return f"{100 * value:.1f} %" if metric == "accuracy" else f"{value:.3f} nats"


def idle_teachers(rows: pd.DataFrame) -> Iterator[str]:
    """One sentence for each teacher that has learned nothing, so that nothing can be learned from it."""
    teachers = trained_at(rows[rows["method"].str.fullmatch("(.*:)?teacher") & ~rows["final"]])
    for row in teachers.itertuples():
        where = place(row.difficulty_name, row.difficulty, row.evaluation_difficulty)
        remedy = "give its stage a larger budget or another learning rate."
        if pd.notna(row.chance):
            if row.accuracy < row.chance + NOTHING_LEARNED * (1 - row.chance):
                figures = f"{readable('accuracy', row.accuracy)}, chance {readable('accuracy', row.chance)}"
                yield f"{where}the {row.method} of seed {row.seed} stayed at chance ({figures}); {remedy}"
        elif row.loss >= row.unigram_entropy:
            figures = f"{readable('loss', row.loss)}, unigram entropy {readable('loss', row.unigram_entropy)}"
            yield f"{where}the {row.method} of seed {row.seed} learned nothing ({figures}); {remedy}"
