"""A whole experiment: check everything, tune, train what is missing."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml
from rich.console import Console

from memtrain.experiment.execution import execute, is_done
from memtrain.experiment.launcher import end_with_launcher, launch
from memtrain.experiment.measurement import measure
from memtrain.experiment.plan import Run, check_data, list_runs, plan_stages, prepare_data
from memtrain.experiment.specification import Experiment
from memtrain.experiment.tuning import rates_of, write_tuning
from memtrain.files import write_text


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
    run = runs[index]
    execute(experiment, run, directory, rates_of(experiment, run, directory))


def launch_experiment(experiment: Experiment, directory: Path, jobs: int = 1) -> int:
    """Do what is left of an experiment.

    Args:
        experiment: the experiment.
        directory: folder of its results.
        jobs: runs at a time.

    Returns:
        The number of runs that failed.

    Raises:
        ValueError: before anything runs, where an option is wrong or a folder holds another configuration.
        FileNotFoundError: before anything runs, where a path of the data leads nowhere.
    """
    if jobs < 1:
        raise ValueError(f"--jobs is {jobs}, but must be at least 1; choose for example 2.")
    for name in ("lightning.fabric", "lightning.pytorch"):  # the runs' own logs say it
        logging.getLogger(name).setLevel(logging.WARNING)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{experiment.name}[/bold]: {experiment.claim}")
    if experiment.measurement is not None:
        measure(experiment.measurement, directory)
        console.print(f"Results: {directory / 'results.csv'}, {directory / 'figure.png'}")
        return 0
    check_data(experiment)
    runs = list(enumerate(list_runs(experiment)))
    for _, run in runs:
        plan_stages(experiment, run, dict(run.rates))
    prepare_data(experiment)
    write_text(directory / "experiment.yaml", yaml.safe_dump(asdict(experiment), sort_keys=False))
    tuning = [(index, run) for index, run in runs if run.rates]
    failed = launch(missing(experiment, tuning, directory), directory, jobs, console)
    if not failed:
        write_tuning(experiment, directory)
        compared = [(index, run) for index, run in runs if not run.rates]
        failed = launch(missing(experiment, compared, directory), directory, jobs, console)
    return len(failed)


def missing(experiment: Experiment, runs: Sequence[tuple[int, Run]], directory: Path) -> list[tuple[int, Run]]:
    """The runs, with their indices, that have a stage without result."""
    return [
        (index, run)
        for index, run in runs
        if not all(
            [is_done(plan, directory) for plan in plan_stages(experiment, run, rates_of(experiment, run, directory))]
        )
    ]
