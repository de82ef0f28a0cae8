"""From the `metrics.csv` of every stage to `curves.csv`: what a model could do along its training, and at what cost."""

from collections.abc import Sequence

import pandas as pd

from memtrain.compare.results import Finished, compared_readings
from memtrain.results import LOGGED

COSTS = {
    "tokens": "cost/tokens",
    "train_seconds": "cost/train_seconds",
    "sequential_flops": "cost/sequential_flops",
}
"""Columns of a validation point, and their names in `metrics.csv`."""
METRICS = ["accuracy", "loss"]
"""Of the reading that is compared, on the validation split."""
CURVE_COLUMNS = ["experiment", "method", "difficulty", "seed", "stage", *COSTS, *METRICS]
WHOLE = ["tokens", "sequential_flops"]


def read_curves(found: Sequence[Finished]) -> pd.DataFrame:
    """All validation points of finished stages.

    Args:
        found: of `memtrain.compare.results.read_results`.

    Returns:
        One row per validation point with `CURVE_COLUMNS` and a column for each score that is not among them, those of a
        run in the order of its training. Costs count on over stages: input tokens, seconds of training, and sequential
        FLOPs per sample. Accuracy (0 to 1) and loss (nats per target) are those of the reading by which the method is
        compared, on the validation split at the difficulty of training. A stage that does not log this reading has NaN
        there, as one that trains a teacher alone. So has a stage with data of its own: its validation split is another.

    Raises:
        FileNotFoundError: where a stage has no `metrics.csv`.
        ValueError: where that is no table.
    """
    compared = compared_readings(found)
    metrics = list(dict.fromkeys([*METRICS, *(stage.result.score.name for stage in found)]))
    points = [points_of(s, compared[s.result.experiment, s.result.method], metrics) for s in found]
    # stages by their place in the method: in their folder they lie by name, so that dmt comes before smt
    keys = ["experiment", "method", "difficulty", "seed", "position"]
    table = pd.concat(points, ignore_index=True).sort_values(keys, kind="stable")
    return table[list(dict.fromkeys([*CURVE_COLUMNS, *metrics]))].reset_index(drop=True)


def points_of(stage: Finished, reading: str, metrics: Sequence[str]) -> pd.DataFrame:
    """The validation points of one stage.

    Args:
        stage: the stage.
        reading: by which its method is compared.
        metrics: names of the metrics that are read.
    """
    result, path = stage.result, stage.folder / "metrics.csv"
    logged = {**COSTS, **{name: f"val/{LOGGED.get(reading, reading)}/{name}" for name in metrics}}
    try:
        table = pd.read_csv(path, encoding="utf-8-sig").reindex(columns=list(logged.values()))
        table = (
            table.dropna(how="all").astype(float).set_axis(list(logged), axis="columns")
        )  # others are training steps
    except ValueError as error:  # pandas' own are, and so is what is no UTF-8 or no number
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is no table ({reason}); remove the folder of its run, and run it again.") from None
    if result.data:
        table[list(metrics)] = float("nan")
    return table.assign(
        experiment=result.experiment,
        method=result.method,
        difficulty=float("nan") if result.difficulty is None else float(result.difficulty),
        seed=result.seed,
        stage=result.stage,
        position=result.position,
    )


def as_csv(points: pd.DataFrame) -> str:
    """Validation points as CSV; counts, which are floats only because one may be missing, are written whole."""
    return points.astype({name: "Int64" for name in WHOLE if name in points}).to_csv(index=False)
