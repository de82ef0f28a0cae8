"""The summary of `comparison.json`: what each method reaches over its seeds."""

from typing import Any

import pandas as pd

from memtrain.compare.estimates import SEEDS_OF_AN_INTERVAL, interquartile_mean, interval
from memtrain.compare.queries import diverged, experiments, score_of, trained_at


def summarize(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What each method reaches over its seeds, at the difficulty it was trained at.

    Args:
        rows: see `memtrain.compare.rows`.

    Returns:
        One entry for each experiment, method, reading, stage and difficulty: mean, minimum and maximum over seeds, the
        interquartile mean and its 95 % bootstrap interval (None with fewer than 3 seeds or where one has diverged), and
        `values`, one a seed in the order of seeds. `diverged` counts the seeds whose loss or score is no finite number.
    """
    entries = []
    for experiment, own in experiments(trained_at(rows)):
        metric = score_of(own).name
        keys = ["method", "reading", "stage", "difficulty"]
        for (method, reading, stage, difficulty), group in own.groupby(keys, sort=False, dropna=False):
            values, wrong = group.sort_values("seed")[metric], int(diverged(group).sum())
            judged = len(values) >= SEEDS_OF_AN_INTERVAL and not wrong
            numbers = values.to_numpy(dtype=float)
            entries.append(
                {
                    "experiment": experiment,
                    "method": method,
                    "reading": reading,
                    "stage": stage,
                    "difficulty": None if pd.isna(difficulty) else difficulty,
                    "score": metric,
                    "mean": float(values.mean(skipna=False)),
                    "minimum": float(values.min(skipna=False)),
                    "maximum": float(values.max(skipna=False)),
                    "interquartile_mean": float(interquartile_mean(numbers)) if judged else None,
                    "interval": interval(numbers) if judged else None,
                    "values": [float(value) for value in values],
                    "seeds": int(group["seed"].nunique()),
                    "diverged": wrong,
                }
            )
    return entries
