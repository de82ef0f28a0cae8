"""From the `metrics.csv` of every stage to `curves.csv`: what the RNN could do along its training, and at what cost."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

READINGS = {
    "tokens": "cost/tokens",
    "train_seconds": "cost/train_seconds",
    "sequential_flops": "cost/sequential_flops",
    "accuracy": "val/rollout/accuracy",
    "loss": "val/rollout/loss",
}
"""Columns of a validation point, and their names in `metrics.csv`."""
CURVE_COLUMNS = ["experiment", "method", "difficulty", "seed", "stage", *READINGS]
WHOLE = ["tokens", "sequential_flops"]


def read_curves(results: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """All validation points of finished stages.

    Args:
        results: those of `memtrain.compare.rows.read_results`.

    Returns:
        One row per validation point with `CURVE_COLUMNS`, those of a run in the order of its training. Costs count on
        over stages: input tokens, seconds of training, and sequential FLOPs per sample. Accuracy (0 to 1) and loss
        (nats per target) are those of the rollout on the validation split at the difficulty of training. What a stage
        does not log is NaN, as the rollout of a stage that trains a teacher alone, and so are the readings of a stage
        with data of its own, whose validation split is another.

    Raises:
        FileNotFoundError: where a stage has no `metrics.csv`.
        ValueError: where that is no table.
    """
    table = pd.concat([points_of(result) for result in results], ignore_index=True)
    # stages by their place in the method: in their folder they lie by name, so that dmt comes before smt
    keys = ["experiment", "method", "difficulty", "seed", "position"]
    return table.sort_values(keys, kind="stable")[CURVE_COLUMNS].reset_index(drop=True)


def points_of(result: Mapping[str, Any]) -> pd.DataFrame:
    """The validation points of one stage, given the content of its `result.json` and its `folder`."""
    path = result["folder"] / "metrics.csv"
    try:
        table = pd.read_csv(path).reindex(columns=list(READINGS.values()))
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise ValueError(f"{path} is no table ({error}); remove the folder of its run, and run it again.") from None
    table = table.dropna(how="all").astype(float).set_axis(list(READINGS), axis="columns")  # others are training steps
    if result.get("data"):
        table[["accuracy", "loss"]] = float("nan")
    return table.assign(
        experiment=result["experiment"],
        method=result["method"],
        difficulty=float("nan") if result["difficulty"] is None else float(result["difficulty"]),
        seed=result["seed"],
        stage=result["stage"],
        position=result["stages"].index(result["stage"]),
    )


def as_csv(points: pd.DataFrame) -> str:
    """Validation points as CSV; counts, which are floats only because one may be missing, are written whole."""
    return points.astype({name: "Int64" for name in WHOLE if name in points}).to_csv(index=False)
