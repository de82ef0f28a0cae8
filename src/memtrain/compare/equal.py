"""`equal_tokens.csv`: all methods at the same number of tokens, the final one of the run with the fewest."""

from typing import Any

import pandas as pd

from memtrain.compare.curves import WHOLE

NAMES = ["experiment", "method", "difficulty", "seed", "stage"]
"""Columns of a validation point that say whose it is."""


def of_finished(curves: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The validation points of finished runs; an unfinished one would set the limit for all.

    Args:
        curves: see `memtrain.compare.curves`.
        rows: see `memtrain.compare.rows`.
    """
    run = ["experiment", "method", "difficulty", "seed"]
    ended = rows.loc[rows["final"], run].drop_duplicates()
    return curves.merge(ended.astype({"difficulty": float}), on=run)  # None, where there is none, would not be NaN


def at_equal_tokens(curves: pd.DataFrame) -> pd.DataFrame:
    """Every method and seed at the same number of tokens, between its two validation points around them.

    Such a point says less than what a method reaches at the end of its own budget. It is read on the validation split,
    and for all runs but one in the middle of the learning rate's schedule.

    Args:
        curves: see `memtrain.compare.curves`.

    Returns:
        One row per (experiment, difficulty, method, seed) with the columns of `curves`. `tokens` are the smallest final
        tokens of all methods and seeds of that experiment at that difficulty. Costs and values are interpolated, the
        stage is that of the later point; where a run was not validated before, they are missing.
    """
    entries = []
    for (experiment, difficulty), own in curves.dropna(subset=["tokens"]).groupby(
        ["experiment", "difficulty"], sort=False, dropna=False
    ):
        runs = own.groupby(["method", "seed"], sort=False)
        limit = runs["tokens"].max().min()
        for (method, seed), run in runs:
            identity = {"experiment": experiment, "method": method, "difficulty": difficulty, "seed": seed}
            entries.append(identity | reading_at(run, limit) | {"tokens": limit})
    return pd.DataFrame(entries, columns=curves.columns).round({name: 0 for name in WHOLE})


def reading_at(run: pd.DataFrame, tokens: float) -> dict[str, Any]:
    """The stage, costs and values of a run at a number of tokens, between its two points around it.

    Args:
        run: its validation points, in any order.
        tokens: up to those of its last point.

    Returns:
        The stage, costs and values; nothing where its first point is later.
    """
    run = run.sort_values("tokens", kind="stable")
    before, after = run[run["tokens"] <= tokens], run[run["tokens"] >= tokens]
    if before.empty:
        return {}
    low, high = before.iloc[-1], after.iloc[0]
    share = (tokens - low["tokens"]) / max(high["tokens"] - low["tokens"], 1)
    # a share of 0 must not read the later point, which may be missing
    numbers = [name for name in run.columns if name not in NAMES]
    between = {name: low[name] + share * (high[name] - low[name]) if share else low[name] for name in numbers}
    return {"stage": high["stage"] if share else low["stage"], **between}
