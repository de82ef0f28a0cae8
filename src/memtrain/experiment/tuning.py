"""Choosing options: `tuning.csv` has every trial; the runs of the comparison take the best."""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from memtrain.experiment.options import Options, spelled
from memtrain.experiment.plan import RunPlan, plan_stages
from memtrain.experiment.runs import Run, list_runs
from memtrain.experiment.specification import Experiment, Number
from memtrain.files import write_table
from memtrain.results import DivergedStage, Metrics, Score, read_result

CHANCE = {"accuracy": "chance", "loss": "unigram_entropy"}
"""For each score the reference line that a model reaches which has learned nothing of the past."""
STANDARD_ERRORS = 3.0
"""By how many of them a score must be better than chance: by luck one trial at chance in 740 is, and one grid of six in
120. More would ask a trial of a few hundred sequences for more than the small gains that tell a beginning."""


@dataclass(frozen=True)
class Trial:
    """A finished tuning run.

    Args:
        run: the tuning run.
        metrics: of the reading that is compared, on the validation split; none where the run has diverged.
        columns: names of the metrics in `tuning.csv`.
        score: what methods are compared by; None where the run has diverged.
        chance: value of the score without knowledge of the past; None where the data do not say.
        standard_error: of the score, over the evaluation's sequences; None where it is not known.
    """

    run: Run
    metrics: Metrics
    columns: tuple[str, ...] = ("loss", "accuracy")
    score: Score | None = None
    chance: float | None = None
    standard_error: float | None = None

    @property
    def loss(self) -> float:
        """Infinite where it is not finite."""
        loss = self.metrics.get("loss")
        return math.inf if loss is None else loss

    @property
    def gain(self) -> float:
        """How much better than chance the score is; NaN where that cannot be said."""
        value = self.metrics.get(self.score.name) if self.score is not None else None
        if value is None or self.chance is None or self.score is None:
            return math.nan
        return value - self.chance if self.score.higher_is_better else self.chance - value


@dataclass(frozen=True)
class Choice:
    """What a method's trials at one difficulty say.

    Args:
        options: the best; None where none can be chosen.
        trials: how many there are.
        reason: why none can be chosen, in one sentence.
        at_chance: whether it is that none leaves chance; or else all have diverged.
    """

    options: Options | None
    trials: int
    reason: str = ""
    at_chance: bool = False


def tuned(experiment: Experiment, plans: Iterable[RunPlan], directory: Path) -> list[RunPlan]:
    """Plans of the comparison with the chosen options; the same plans where none are to be chosen.

    Args:
        experiment: the experiment.
        plans: of runs of the comparison, or of tuning runs, which keep their own options.
        directory: folder of the experiment's results.

    Raises:
        ValueError: where a tuning run that a choice depends on has no result, or none of them can be chosen.
    """
    chosen: dict[tuple[str, Number | None], Choice] = {}
    found = []
    for plan in plans:
        run, grid = plan.run, experiment.grid
        if not run.options and grid is not None and run.method in grid.options:
            place = run.method, run.difficulty
            if place not in chosen:
                chosen[place] = choose(run.method, trials_of(experiment, run, directory))
            choice = chosen[place]
            if choice.options is None and not (choice.at_chance and grid.at_chance == "file"):
                raise ValueError(choice.reason)
            options = choice.options or {}
            plan = replace(plan, stages=plan_stages(experiment, run, options), options=options, trials=choice.trials)
        found.append(plan)
    return found


def choose(method: str, trials: Sequence[Trial]) -> Choice:
    """The options of the lowest validation loss, over all tuning seeds, among those that leave chance.

    Args:
        method: its name.
        trials: of the method at one difficulty.
    """
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(spelled(dict(trial.run.options)), []).append(trial)
    sound = [group for group in groups.values() if math.isfinite(sum(trial.loss for trial in group))]
    if not sound:
        return Choice(
            None,
            len(trials),
            f"All tuning runs of {method} have diverged, so that none of grid.options.{method} can be chosen; add a "
            "smaller learning rate.",
        )
    able = [group for group in sound if leaves_chance(group)]
    if not able:
        best = max(sound, key=gain)
        return Choice(
            None,
            len(trials),
            f"No trial of {method}{at(trials[0].run)} leaves chance by {STANDARD_ERRORS:g} standard errors (the best "
            f"is {gain(best):.2g} ahead of {best[0].chance:.4g}), so that nothing is chosen; give it a larger budget "
            "or other values, or say grid.at_chance: file, by which its runs take the file's own options.",
            at_chance=True,
        )
    best = min(able, key=lambda group: sum(trial.loss for trial in group))
    return Choice(dict(best[0].run.options), len(trials))


def at(run: Run) -> str:
    """Of which difficulty a run is."""
    return "" if run.difficulty is None else f" at {run.difficulty}"


def gain(trials: Sequence[Trial]) -> float:
    """How much better than chance the score of the same options is, in the mean over their seeds."""
    return sum(trial.gain for trial in trials) / len(trials)


def leaves_chance(trials: Sequence[Trial]) -> bool:
    """Whether the same options have learned anything, over their seeds; True where the data name no chance.

    Validation sequences are drawn independently, and the targets of one are not: hence errors over sequences.
    """
    errors = [trial.standard_error for trial in trials if trial.standard_error is not None]
    if len(errors) < len(trials) or math.isnan(gain(trials)):
        return True
    error = math.sqrt(sum(error**2 for error in errors)) / len(trials)
    return gain(trials) > STANDARD_ERRORS * error


def trials_of(experiment: Experiment, run: Run, directory: Path) -> list[Trial]:
    """The tuning runs that the options of a run are chosen from, in the order of their index."""
    assert experiment.grid is not None
    difficulty = run.difficulty if experiment.grid.difficulty is None else experiment.grid.difficulty
    return [
        read_trial(experiment, trial, directory)
        for trial in list_runs(experiment)
        if trial.options and (trial.method, trial.difficulty) == (run.method, difficulty)
    ]


def read_trial(experiment: Experiment, run: Run, directory: Path) -> Trial:
    """What a tuning run was worth at the end of its last stage."""
    result = read_result(directory / run.folder / experiment.methods[run.method][-1] / "result.json")
    if result is None:
        raise ValueError(f"The tuning run {run} has no result in {directory / run.folder} yet; run it first.")
    if isinstance(result, DivergedStage):
        return Trial(run, {})
    read, score = result.evaluations[0], result.score
    return Trial(
        run,
        metrics=read.readings[result.reading],
        columns=tuple(dict.fromkeys([*Trial.columns, score.name])),
        score=score,
        chance=read.reference_lines.get(CHANCE.get(score.name, "")),
        standard_error=read.standard_errors.get(score.name),
    )


def write_tuning(experiment: Experiment, directory: Path) -> list[str]:
    """Write `tuning.csv`: one row a tuning run, with a column that says which options were chosen.

    The rows of methods that this experiment leaves out stay: an earlier command has tuned them in the same folder.

    Returns:
        A sentence for each method and difficulty at which nothing is chosen.
    """
    places = dict.fromkeys((trial.method, trial.difficulty) for trial in list_runs(experiment) if trial.options)
    rows: list[dict[str, Any]] = []
    reasons: list[str] = []
    for method, difficulty in places:
        trials = trials_of(experiment, Run(method, difficulty, 0), directory)
        choice = choose(method, trials)
        rows += [row(experiment.name, trial, choice) for trial in trials]
        reasons += [choice.reason] if choice.options is None else []
    if rows:
        path = directory / "tuning.csv"
        write_table(path, [*others(path, set(experiment.methods)), *rows])
    return reasons


def row(experiment: str, trial: Trial, choice: Choice) -> dict[str, Any]:
    """A row of `tuning.csv`."""
    run = trial.run
    return {
        "experiment": experiment,
        "method": run.method,
        "difficulty": run.difficulty,
        "seed": run.seed,
        "options": spelled(dict(run.options)),
        **{f"validation_{name}": trial.metrics.get(name) for name in trial.columns},
        "chance": trial.chance,
        "standard_error": trial.standard_error,
        "chosen": dict(run.options) == choice.options,
    }


def others(path: Path, methods: set[str]) -> list[dict[str, Any]]:
    """The rows of a table of tuning runs that are not of these methods; none where there is no table."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row for row in csv.DictReader(file) if row.get("method") not in methods]
