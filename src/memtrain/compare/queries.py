"""Questions of tables, figures and verdicts about the rows."""

from typing import Any

import numpy as np
import pandas as pd

from memtrain.results import Score

NOTHING_LEARNED = 0.05
"""Part of the way from chance to perfect below which a model counts as having stayed at chance."""


def score_of(rows: pd.DataFrame) -> Score:
    """What an experiment's methods are compared by."""
    return Score(str(rows["score"].iloc[0]), bool(rows["higher_is_better"].iloc[0]))


def experiments(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Names of the experiments and their rows, which are never mixed."""
    return [(name, group) for name, group in rows.groupby("experiment", sort=False)]


def difficulty_name(rows: pd.DataFrame) -> str:
    """The option that an experiment varies; empty where it varies none."""
    name = rows["difficulty_name"].iloc[0]
    return "" if pd.isna(name) else str(name)


def with_kinds(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a column `kind`: what was read on the way, as "after smt" or "teacher"; empty where `final`."""
    kind = ("after " + rows["stage"]).where(rows["compared"], rows["reading"])
    return rows.assign(kind=kind.mask(rows["final"], ""))


def diverged(rows: pd.DataFrame) -> pd.Series:
    """Which rows have a loss or a score that is no finite number."""
    return ~np.isfinite(rows[["loss", score_of(rows).name]] if len(rows) else rows[["loss"]]).all(axis=1)


def ranked(rows: pd.DataFrame, by: str = "method") -> list[str]:
    """The methods of an experiment, the best in front, those with a diverged seed last.

    Args:
        rows: of the experiment.
        by: the column that holds the methods' names.
    """
    if rows.empty:
        return []
    score = score_of(rows)
    worse = -rows[score.name] if score.higher_is_better else rows[score.name]
    means = worse.mask(diverged(rows), np.inf).groupby(rows[by], sort=False).mean()
    return [str(name) for name in means.sort_values(kind="stable").index]


def trained_at(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that are read at the difficulty of their training."""
    return rows[rows["difficulty"].isna() | (rows["evaluation_difficulty"] == rows["difficulty"])]


def same(difficulties: pd.Series, difficulty: float | None) -> pd.Series:
    """Which entries are this difficulty, or are none where it is none."""
    return difficulties.isna() if pd.isna(difficulty) else difficulties == difficulty


def stayed_at_chance(accuracy: Any, chance: float) -> Any:
    """Whether an accuracy, or each of an array, is less than `NOTHING_LEARNED` of the way from chance to perfect."""
    return accuracy < chance + NOTHING_LEARNED * (1 - chance)


def place(experiment: str, name: str, difficulty: float | None, evaluated: float | None) -> str:
    """Where methods meet, as the beginning of a sentence; `experiment` is empty where there is only one."""
    start = f"{experiment}, " if experiment else ""
    if pd.isna(difficulty):
        return f"{experiment}: " if experiment else ""
    if difficulty == evaluated:
        return f"{start}{name} {difficulty:g}: "
    return f"{start}{name} {evaluated:g}, trained at {difficulty:g}: "


def kind_of(metric: str) -> str:
    """What a metric is, whichever group of targets it is of: loss of loss_rare."""
    return metric.split("_")[0]


def readable(metric: str, value: float) -> str:
    """Accuracy in percent, loss in nats, another metric as it is."""
    if kind_of(metric) == "accuracy":
        return f"{100 * value:.1f} %"
    return f"{value:.3f} nats" if kind_of(metric) == "loss" else f"{value:.4g}"


def bounds(metric: str, ends: tuple[float, float] | None) -> str:
    """An interval without its unit, as "[96.0, 98.0]"; empty where there is none."""
    return "" if ends is None else f"[{', '.join(readable(metric, end).split()[0] for end in ends)}]"
