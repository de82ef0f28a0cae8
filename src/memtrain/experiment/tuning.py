"""Choosing learning rates: `tuning.csv` has every trial; the runs of the comparison take the best."""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from memtrain.experiment.plan import RunPlan, plan_stages
from memtrain.experiment.runs import Rates, Run, list_runs
from memtrain.experiment.specification import Experiment, Number
from memtrain.files import write_table
from memtrain.results import DivergedStage, Metrics, read_result


@dataclass(frozen=True)
class Trial:
    """A finished tuning run.

    Args:
        run: the tuning run.
        metrics: of the reading that is compared, on the validation split; none where the run has diverged.
        columns: names of the metrics in `tuning.csv`.
    """

    run: Run
    metrics: Metrics
    columns: tuple[str, ...] = ("loss", "accuracy")

    @property
    def loss(self) -> float:
        """Infinite where it is not finite."""
        loss = self.metrics.get("loss")
        return math.inf if loss is None else loss


def tuned(experiment: Experiment, plans: Iterable[RunPlan], directory: Path) -> list[RunPlan]:
    """Plans of the comparison with the chosen learning rates; the same plans where none are to be chosen.

    Args:
        experiment: the experiment.
        plans: of runs of the comparison, or of tuning runs, which keep their own rates.
        directory: folder of the experiment's results.

    Raises:
        ValueError: where a tuning run that a choice depends on has no result, or all of them have diverged.
    """
    chosen: dict[tuple[str, Number | None], Rates] = {}
    found = []
    for plan in plans:
        run = plan.run
        if not run.rates and experiment.grid is not None and run.method in experiment.grid.learning_rates:
            place = run.method, run.difficulty
            if place not in chosen:
                chosen[place] = require_choice(run.method, chosen_rates(trials_of(experiment, run, directory)))
            plan = replace(plan, stages=plan_stages(experiment, run, chosen[place]))
        found.append(plan)
    return found


def require_choice(method: str, rates: Rates | None) -> Rates:
    """Refuse to go on without learning rates."""
    if rates is None:
        raise ValueError(
            f"All tuning runs of {method} have diverged, so that none of grid.learning_rates.{method} can be "
            "chosen; add a smaller one."
        )
    return rates


def chosen_rates(trials: Iterable[Trial]) -> Rates | None:
    """The rates of the lowest validation loss, over all tuning seeds; None where each choice has diverged.

    Args:
        trials: of one method at one difficulty.
    """
    losses: dict[tuple[tuple[str, float], ...], float] = {}
    for trial in trials:
        losses[trial.run.rates] = losses.get(trial.run.rates, 0.0) + trial.loss
    best = min(losses, key=lambda rates: losses[rates])
    return dict(best) if math.isfinite(losses[best]) else None


def trials_of(experiment: Experiment, run: Run, directory: Path) -> list[Trial]:
    """The tuning runs that the learning rates of a run are chosen from, in the order of their index."""
    assert experiment.grid is not None
    difficulty = run.difficulty if experiment.grid.difficulty is None else experiment.grid.difficulty
    return [
        read_trial(experiment, trial, directory)
        for trial in list_runs(experiment)
        if trial.rates and (trial.method, trial.difficulty) == (run.method, difficulty)
    ]


def read_trial(experiment: Experiment, run: Run, directory: Path) -> Trial:
    """What a tuning run was worth at the end of its last stage."""
    result = read_result(directory / run.folder / experiment.methods[run.method][-1] / "result.json")
    if result is None:
        raise ValueError(f"The tuning run {run} has no result in {directory / run.folder} yet; run it first.")
    if isinstance(result, DivergedStage):
        return Trial(run, {})
    columns = tuple(dict.fromkeys([*Trial.columns, result.score.name]))
    return Trial(run, result.evaluations[0].readings[result.reading], columns)


def write_tuning(experiment: Experiment, directory: Path) -> None:
    """Write `tuning.csv`: one row a tuning run, with a column that says which rates were chosen.

    The rows of methods that this experiment leaves out stay: an earlier command has tuned them in the same folder.
    """
    places = dict.fromkeys((trial.method, trial.difficulty) for trial in list_runs(experiment) if trial.rates)
    rows: list[dict[str, Any]] = []
    for method, difficulty in places:
        trials = trials_of(experiment, Run(method, difficulty, 0), directory)
        chosen = chosen_rates(trials)
        rows += [row(experiment.name, trial, chosen) for trial in trials]
    if rows:
        path = directory / "tuning.csv"
        write_table(path, [*others(path, set(experiment.methods)), *rows])


def row(experiment: str, trial: Trial, chosen: Rates | None) -> dict[str, Any]:
    """A row of `tuning.csv`."""
    run = trial.run
    return {
        "experiment": experiment,
        "method": run.method,
        "difficulty": run.difficulty,
        "seed": run.seed,
        "learning_rates": " ".join(f"{stage}={rate:g}" for stage, rate in run.rates),
        **{f"validation_{name}": trial.metrics.get(name) for name in trial.columns},
        "chosen": dict(run.rates) == chosen,
    }


def others(path: Path, methods: set[str]) -> list[dict[str, Any]]:
    """The rows of a table of tuning runs that are not of these methods; none where there is no table."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row for row in csv.DictReader(file) if row.get("method") not in methods]
