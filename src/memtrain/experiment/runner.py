"""A whole experiment on this machine: check everything, tune, train what is missing."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml
from rich.console import Console
from rich.markup import escape

from memtrain.experiment.data import check_data, prepare_data
from memtrain.experiment.execution import execute, unfinished
from memtrain.experiment.launcher import end_with_launcher, launch
from memtrain.experiment.measurement import measure
from memtrain.experiment.modules import check_modules
from memtrain.experiment.plan import RunPlan, plan_run, plan_runs
from memtrain.experiment.runs import Run, list_runs
from memtrain.experiment.specification import Experiment
from memtrain.experiment.timing import other_hardware, read_timings
from memtrain.experiment.tuning import tuned, write_tuning
from memtrain.files import write_text
from memtrain.fit.trainer import has_gpu
from memtrain.limits import require_at_least

JOBS_ON_CPU = 2


def run_index(experiment: Experiment, directory: Path, index: int) -> None:
    """Do what is left of one run, in this process.

    Args:
        experiment: the experiment.
        directory: folder of its results.
        index: number of the run, in the order of `list_runs`.

    Raises:
        ValueError: if there is no such run, or if it fails; see `execute`.
    """
    end_with_launcher()
    runs = list_runs(experiment)
    if not 0 <= index < len(runs):
        raise ValueError(f"--index is {index}, but {experiment.name} has runs 0 to {len(runs) - 1}.")
    (plan,) = tuned(experiment, [plan_run(experiment, index, runs[index])], directory)
    execute(experiment, plan, directory)


def launch_experiment(experiment: Experiment, directory: Path, jobs: int | None = None) -> int:
    """Do what is left of an experiment, here.

    Args:
        experiment: the experiment.
        directory: folder of its results.
        jobs: runs at a time; None: two on a CPU, one on a GPU.

    Returns:
        The number of runs that failed.

    Raises:
        ValueError: before anything runs, where an option is wrong or a folder holds another configuration.
        FileNotFoundError: before anything runs, where a path of the data leads nowhere.
    """
    console = announce(experiment, jobs)
    at_a_time = local_jobs(experiment, jobs)
    if experiment.measurement is not None:
        measure(experiment.measurement, directory)
        console.print(f"Results: {directory / 'results.csv'}, {directory / 'figure.png'}", markup=False)
        return 0
    tuning, compared = checked_plans(experiment)
    prepare_data(experiment)
    file = write_experiment(experiment, directory)
    for sentence in other_hardware(read_timings(directory).values()):
        console.print(sentence, markup=False)

    def train(plans: Sequence[RunPlan]) -> list[Run]:
        left = unfinished(plans, directory)
        if left:
            console.print(expectation(experiment, len(left), at_a_time))
        return launch(left, file, directory, at_a_time, console)

    failed = train(tuning)
    if not failed:
        for sentence in write_tuning(experiment, directory):
            console.print(sentence, markup=False)
        failed = train(tuned(experiment, compared, directory))
    return len(failed)


def local_jobs(experiment: Experiment, jobs: int | None) -> int:
    """Runs at a time on this machine.

    Raises:
        ValueError: if several were to share a GPU under a budget in seconds.
    """
    trainers = [{**experiment.trainer, **stage.trainer} for stage in experiment.stages.values()]
    accelerators = [trainer.get("accelerator", "auto") for trainer in trainers]
    on_cpu = all(name == "cpu" or (name == "auto" and not has_gpu()) for name in accelerators)
    if jobs is None:
        return JOBS_ON_CPU if on_cpu else 1
    if jobs > 1 and not on_cpu and experiment.budget.seconds is not None:
        raise ValueError(
            f"--jobs is {jobs}, but runs that share a GPU slow each other down, and so take more than their "
            "seconds; leave --jobs out, or give --set budget='{steps: 4000}' in place of seconds."
        )
    return jobs


def announce(experiment: Experiment, jobs: int | None) -> Console:
    """Say what is going to be done."""
    if jobs is not None:
        require_at_least("--jobs", jobs, 1, example=2)
    for name in ("lightning.fabric", "lightning.pytorch"):  # the runs' own logs say it
        logging.getLogger(name).setLevel(logging.WARNING)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{escape(experiment.name)}[/bold]: {escape(experiment.claim)}")
    return console


def expectation(experiment: Experiment, runs: int, jobs: int) -> str:
    """How much is about to be done."""
    said = f"{runs} run{'s' * (runs > 1)} to train, {jobs} at a time"
    if experiment.budget.seconds is None:
        return f"{said}."
    minutes = -(-runs // jobs) * experiment.budget.seconds / 60
    return f"{said}, {experiment.budget.seconds:g} seconds of training each: more than {minutes:.0f} minutes."


def checked_plans(experiment: Experiment) -> tuple[list[RunPlan], list[RunPlan]]:
    """The plans of the tuning runs and those of the comparison, all options checked."""
    check_data(experiment)
    plans = plan_runs(experiment)
    check_modules(plans)
    return [plan for plan in plans if plan.run.options], [plan for plan in plans if not plan.run.options]


def write_experiment(experiment: Experiment, directory: Path) -> Path:
    """Write the experiment as it is to run, for its processes to read.

    The file's name follows from its content: another selection of methods or seeds, started into the same folder, must
    not change what the indices of processes that still run or wait mean.
    """
    content = yaml.safe_dump(asdict(experiment), sort_keys=False)
    file = directory / f"experiment-{hashlib.sha256(content.encode()).hexdigest()[:8]}.yaml"
    write_text(file, content)
    return file
