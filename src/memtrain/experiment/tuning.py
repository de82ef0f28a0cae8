"""Choosing learning rates: every trial in `tuning.csv`, the best on the validation split for the runs to come."""

import math
from pathlib import Path
from typing import Any

from memtrain.experiment.plan import Rates, Run, list_runs
from memtrain.experiment.specification import Experiment
from memtrain.files import read_json, write_table


def rates_of(experiment: Experiment, run: Run, directory: Path) -> Rates:
    """The learning rates that replace the file's in a run.

    Args:
        experiment: the experiment.
        run: a tuning run, which has rates of its own, or a run of the comparison, which takes the chosen ones.
        directory: folder of the experiment's results.

    Raises:
        ValueError: where a tuning run that the choice depends on has no result, or all of them have diverged.
    """
    if run.rates:
        return dict(run.rates)
    if experiment.grid is None or run.method not in experiment.grid.learning_rates:
        return {}
    chosen = chosen_rates(experiment, run, directory)
    if chosen is None:
        raise ValueError(
            f"All tuning runs of {run.method} have diverged, so that none of grid.learning_rates.{run.method} can be "
            "chosen; add a smaller one."
        )
    return chosen


def chosen_rates(experiment: Experiment, run: Run, directory: Path) -> Rates | None:
    """The rates of the lowest validation loss, over all tuning seeds; None where each choice has diverged."""
    assert experiment.grid is not None
    difficulty = run.difficulty if experiment.grid.difficulty is None else experiment.grid.difficulty
    trials: dict[tuple[tuple[str, float], ...], list[float]] = {}
    for trial in list_runs(experiment):
        if trial.rates and (trial.method, trial.difficulty) == (run.method, difficulty):
            loss = reading(experiment, trial, directory)["loss"]
            trials.setdefault(trial.rates, []).append(math.inf if loss is None else loss)
    best, losses = min(trials.items(), key=lambda trial: sum(trial[1]))
    return dict(best) if math.isfinite(sum(losses)) else None


def reading(experiment: Experiment, trial: Run, directory: Path) -> dict[str, float | None]:
    """Validation loss and accuracy at the end of a tuning run, the RNN's if it has one; None where not finite."""
    result = read_json(directory / trial.folder / experiment.methods[trial.method][-1] / "result.json")
    if result is None:
        raise ValueError(f"The tuning run {trial} has no result in {directory / trial.folder} yet; run it first.")
    metrics = result["evaluations"][0]["metrics"]
    kind = "rollout" if "rollout/loss" in metrics else "teacher"
    return {name: metrics[f"{kind}/{name}"] for name in ("loss", "accuracy")}


def write_tuning(experiment: Experiment, directory: Path) -> None:
    """Write `tuning.csv`: one row a tuning run, with a column that says which rates were chosen."""
    rows: list[dict[str, Any]] = []
    for trial in list_runs(experiment):
        if trial.rates:
            metrics = reading(experiment, trial, directory)
            compared = Run(trial.method, trial.difficulty, trial.seed)
            rows.append(
                {
                    "experiment": experiment.name,
                    "method": trial.method,
                    "difficulty": trial.difficulty,
                    "seed": trial.seed,
                    "learning_rates": " ".join(f"{stage}={rate:g}" for stage, rate in trial.rates),
                    "validation_loss": metrics["loss"],
                    "validation_accuracy": metrics["accuracy"],
                    "chosen": dict(trial.rates) == chosen_rates(experiment, compared, directory),
                }
            )
    if rows:
        write_table(directory / "tuning.csv", rows)
