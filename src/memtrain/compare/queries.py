"""What tables, figures and verdicts ask of the rows."""

import numpy as np
import pandas as pd


def metric_of(rows: pd.DataFrame) -> str:
    """What an experiment's methods are compared by: accuracy where chance is known (probes), else loss."""
    return "accuracy" if rows["chance"].notna().all() else "loss"


def experiments(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Names of the experiments and their rows, which are never mixed."""
    return [(name, group) for name, group in rows.groupby("experiment", sort=False)]


def difficulty_name(rows: pd.DataFrame) -> str:
    """The option that an experiment varies; empty where it varies none."""
    name = rows["difficulty_name"].iloc[0]
    return "" if pd.isna(name) else str(name)


def diverged(rows: pd.DataFrame) -> pd.Series:
    """Which rows have a loss or an accuracy that is no finite number."""
    return ~np.isfinite(rows[["accuracy", "loss"]]).all(axis=1)


def ranked(rows: pd.DataFrame) -> list[str]:
    """The methods of an experiment, the best in front, those with a diverged seed last."""
    metric = metric_of(rows)
    worse = rows[metric] if metric == "loss" else -rows[metric]
    means = worse.mask(diverged(rows), np.inf).groupby(rows["method"], sort=False).mean()
    return [str(method) for method in means.sort_values(kind="stable").index]


def trained_at(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that are read at the difficulty of their training."""
    return rows[rows["difficulty"].isna() | (rows["evaluation_difficulty"] == rows["difficulty"])]


def same(difficulties: pd.Series, difficulty: float | None) -> pd.Series:
    """Which are this difficulty, or are none like it."""
    return difficulties.isna() if pd.isna(difficulty) else difficulties == difficulty


def readable(metric: str, value: float) -> str:
    """Accuracy in percent, loss in nats."""
    return f"{100 * value:.1f} %" if metric == "accuracy" else f"{value:.3f} nats"
