"""`equal_tokens.csv`: the methods read where each has seen as much as the one that has seen least."""

import pandas as pd

from memtrain.compare.curves import CURVE_COLUMNS


def of_finished(curves: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The validation points of the runs whose last stage has ended; another would set the limit for all.

    Args:
        curves: see `memtrain.compare.curves`.
        rows: see `memtrain.compare.rows`.
    """
    run = ["experiment", "method", "difficulty", "seed"]
    ended = rows.loc[rows["final"], run].drop_duplicates()
    return curves.merge(ended.astype({"difficulty": float}), on=run)  # None, where there is none, would not be NaN


def at_equal_tokens(curves: pd.DataFrame) -> pd.DataFrame:
    """Every method and seed at its last validation point within the same number of tokens.

    Such a point lies in the middle of a learning rate's schedule, and is read on the validation split: it says less
    than what a method reaches at the end of its own budget.

    Args:
        curves: see `memtrain.compare.curves`.

    Returns:
        One row per (experiment, difficulty, method, seed) with `CURVE_COLUMNS` and `equal_tokens`: N, the smallest of
        the final tokens of all methods and seeds of that experiment at that difficulty. The point is the last one of at
        most N; where a run was not validated by then, its stage, costs and values are missing.
    """
    entries = []
    for (experiment, difficulty), own in curves.dropna(subset=["tokens"]).groupby(
        ["experiment", "difficulty"], sort=False, dropna=False
    ):
        runs = own.groupby(["method", "seed"], sort=False)
        limit = runs["tokens"].max().min()
        for (method, seed), run in runs:
            within = run[run["tokens"] <= limit].sort_values("tokens", kind="stable")
            identity = {"experiment": experiment, "method": method, "difficulty": difficulty, "seed": seed}
            entries.append(identity | (within.iloc[-1].to_dict() if len(within) else {}) | {"equal_tokens": limit})
    return pd.DataFrame(entries, columns=[*CURVE_COLUMNS, "equal_tokens"])
