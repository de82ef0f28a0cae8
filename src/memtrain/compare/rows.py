"""From the results of stages to the rows of `comparison.csv`."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from memtrain.compare.results import Finished, compared_readings
from memtrain.results import Evaluation, StageResult

COLUMNS = [
    "experiment", "method", "reading", "stage", "difficulty_name", "difficulty", "evaluation_difficulty", "seed",
    "accuracy", "loss", "bits", "score", "higher_is_better",
    "chance", "shortcut_accuracy", "best_possible", "unigram_entropy", "bigram_entropy",
    "drift_mean", "drift_equilibrium", "drift_relative", "drift_functional", "uniformity", "effective_rank",
    "gradient_steps", "optimizer_steps", "tokens", "train_seconds", "cpu_seconds", "sequential_flops",
    "sequential_depth", "parameters", "learning_rate", "encoder", "compared", "final",
]  # fmt: skip
LATER_COLUMNS = ("drift_functional", "sequential_depth")
"""Those that tables of earlier versions lack, and no figure needs."""
METRICS = ("accuracy", "loss", "bits")
DRIFTS = ("mean", "equilibrium", "relative", "functional")
REFERENCE_LINES = ("chance", "shortcut_accuracy", "best_possible", "unigram_entropy", "bigram_entropy")


def to_rows(found: Sequence[Finished]) -> pd.DataFrame:
    """All finished stages as a table.

    Args:
        found: of `memtrain.compare.results.read_results`.

    Returns:
        One row per experiment, method, reading, stage, difficulty, seed and evaluation difficulty, with `COLUMNS`, a
        column for each further metric of a reading and each further reference line, and a column `folder` of the
        stage. The reading by which a method is `compared` has a row for each of its stages; that of the last stage is
        `final`. Any other reading has one row, of the last stage that has trained its model: SMT may go on after a
        stage on easier data.

    Raises:
        ValueError: where two folders hold the same run.
    """
    compared = compared_readings(found)
    trained_last = last_trained(found)
    rows: list[dict[str, Any]] = []
    for stage in found:
        result = stage.result
        own = compared[result.experiment, result.method]
        for evaluation in result.evaluations:
            for reading in evaluation.readings:
                if reading == own or trained_last.get((*run_of(stage), reading)) == result.stage:
                    rows.append(row(stage, evaluation, reading, reading == own))
    numbers = dict.fromkeys(name for stage in found for name in numbers_of(stage.result))
    columns = list(dict.fromkeys([*COLUMNS, *numbers, "position", "folder"]))
    table = pd.DataFrame(rows, columns=columns)
    table = table.astype(dict.fromkeys((*METRICS, *numbers, *REFERENCE_LINES), float))  # undefined ones are NaN
    keys = ["experiment", "difficulty", "evaluation_difficulty", "method", "position", "reading", "seed"]
    refuse_duplicates(table, keys)
    return table.sort_values(keys, kind="stable").drop(columns="position").reset_index(drop=True)


def numbers_of(result: StageResult) -> list[str]:
    """Names of the score, the readings' metrics and the reference lines of a stage."""
    read = [metrics for evaluation in result.evaluations for metrics in evaluation.readings.values()]
    lines = [evaluation.reference_lines for evaluation in result.evaluations]
    return [*dict.fromkeys([result.score.name, *(name for part in [*read, *lines] for name in part)])]


def refuse_duplicates(table: pd.DataFrame, keys: list[str]) -> None:
    """Refuse rows that would count one seed twice."""
    for (experiment, *_), same in table.groupby(keys, dropna=False)["folder"]:
        if len(same) > 1:
            raise ValueError(
                f"{same.iloc[0]} and {same.iloc[1]} hold the same method, difficulty and seed of experiment "
                f"{experiment}; compare only one of them."
            )


def run_of(stage: Finished) -> tuple[str, str, float | None, int]:
    """What the stages of one run have in common."""
    result = stage.result
    return result.experiment, result.method, result.difficulty, result.seed


def last_trained(found: Sequence[Finished]) -> dict[tuple[Any, ...], str]:
    """For each run and reading the last finished stage that has trained the reading's model."""
    return {
        (*run_of(stage), reading): stage.result.stage
        for stage in sorted(found, key=lambda stage: stage.result.position)
        for reading in stage.result.trained
    }


def row(stage: Finished, evaluation: Evaluation, reading: str, compared: bool) -> dict[str, Any]:
    """One row.

    Args:
        stage: the stage.
        evaluation: at one evaluation difficulty.
        reading: one of its readings.
        compared: whether it is the one by which the method is compared.
    """
    result, costs = stage.result, stage.result.costs
    metrics, diagnostics, lines = evaluation.readings[reading], evaluation.diagnostics, evaluation.reference_lines
    return {
        "experiment": result.experiment,
        "method": result.method,
        "reading": reading,
        "stage": result.stage,
        "difficulty_name": result.difficulty_name,
        "difficulty": result.difficulty,
        "evaluation_difficulty": evaluation.difficulty,
        "seed": result.seed,
        **metrics,
        "score": result.score.name,
        "higher_is_better": result.score.higher_is_better,
        **lines,
        **{f"drift_{name}": diagnostics.get(f"drift/{name}") if compared else None for name in DRIFTS},
        "uniformity": diagnostics.get("memory/uniformity"),
        "effective_rank": diagnostics.get("memory/effective_rank"),
        "gradient_steps": costs.gradient_steps if compared else 0,
        "optimizer_steps": costs.steps,
        "tokens": costs.tokens,
        "train_seconds": costs.train_seconds,
        "cpu_seconds": costs.cpu_seconds,
        "sequential_flops": costs.sequential_flops,
        "sequential_depth": costs.sequential_depth,
        "parameters": result.parameters[reading],
        "learning_rate": result.learning_rate,
        "encoder": result.encoder,
        "compared": compared,
        "final": compared and result.is_last,
        "position": result.position,
        "folder": stage.folder,
    }
