"""A whole experiment: check everything, tune, train what is missing."""

import hashlib
import logging
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml
from rich.console import Console
from rich.markup import escape

from memtrain.experiment.execution import execute, is_done
from memtrain.experiment.launcher import end_with_launcher, launch
from memtrain.experiment.measurement import measure
from memtrain.experiment.plan import Run, check_data, check_modules, list_runs, plan_stages, prepare_data
from memtrain.experiment.slurm import note_job, queued, require_programs, submission, submit, write_script
from memtrain.experiment.specification import Experiment
from memtrain.experiment.tuning import rates_of, write_tuning
from memtrain.files import write_text
from memtrain.fit.trainer import has_gpu
from memtrain.options import require_at_least

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
    run = runs[index]
    execute(experiment, run, directory, rates_of(experiment, run, directory))


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
    jobs = local_jobs(experiment, jobs)
    if experiment.measurement is not None:
        measure(experiment.measurement, directory)
        console.print(f"Results: {directory / 'results.csv'}, {directory / 'figure.png'}", markup=False)
        return 0
    tuning, compared = checked_runs(experiment)
    prepare_data(experiment)
    file = write_experiment(experiment, directory)

    def train(runs: Sequence[tuple[int, Run]]) -> list[Run]:
        left = missing(experiment, runs, directory)
        if left:
            console.print(expectation(experiment, len(left), jobs))
        return launch(left, file, directory, jobs, console)

    failed = train(tuning)
    if not failed:
        write_tuning(experiment, directory)
        failed = train(compared)
    return len(failed)


def submit_experiment(experiment: Experiment, directory: Path, jobs: int | None = None, dry_run: bool = False) -> bool:
    """Hand what is left of an experiment, and not in its queue already, to a SLURM cluster.

    Args:
        experiment: the experiment.
        directory: folder of its results.
        jobs: runs at a time; None: as many as the cluster grants.
        dry_run: write the scripts and say how to submit them, but do not.

    Returns:
        Whether anything was left.

    Raises:
        ValueError: before anything is submitted, where an option is wrong or a folder holds another configuration.
        FileNotFoundError: where a path of the data leads nowhere, or there is no sbatch or squeue.
    """
    if experiment.measurement is not None:
        raise ValueError(f"--launcher is slurm, but {experiment.name} is one measurement; leave --launcher out.")
    console = announce(experiment, jobs)
    tuning, compared = checked_runs(experiment)
    tuned = not missing(experiment, tuning, directory)
    if tuned:
        write_tuning(experiment, directory)
    left = {
        "tuning": missing(experiment, tuning, directory),
        "runs": missing(experiment, compared, directory) if tuned else compared,
    }
    busy: dict[str, str] = {}
    if dry_run:
        console.print("The data are not prepared: without --dry-run they would be, here, where there is a network.")
    else:
        require_programs()
        prepare_data(experiment)
        busy = queued(directory)
    file = write_experiment(experiment, directory)
    after: list[str] = []
    for name, runs in left.items():
        waiting = sorted({busy[folder] for _, run in runs if (folder := run.folder.as_posix()) in busy})
        runs = [(index, run) for index, run in runs if run.folder.as_posix() not in busy]
        if waiting:
            console.print(f"Some of the {name} are still in SLURM's queue, as {', '.join(waiting)}, and stay there.")
        if runs:
            script = write_script(experiment, name, runs, file, directory, jobs)
            job = "JOB" if dry_run else submit(script, after)
            said = f"submit it with {shlex.join(submission(script, after))}" if dry_run else f"job {job}"
            console.print(f"{len(runs)} of the {name}: {script}, {said}")
            if not dry_run:
                note_job(directory, job, runs)
            waiting.append(job)
        after = waiting
    return any(left.values())


def local_jobs(experiment: Experiment, jobs: int | None) -> int:
    """Runs at a time on this machine.

    Raises:
        ValueError: if several were to share a GPU while their steps are timed.
    """
    trainers = [{**experiment.trainer, **stage.trainer} for stage in experiment.stages.values()]
    accelerators = [trainer.get("accelerator", "auto") for trainer in trainers]
    on_cpu = all(name == "cpu" or (name == "auto" and not has_gpu()) for name in accelerators)
    if jobs is None:
        return JOBS_ON_CPU if on_cpu else 1
    if jobs > 1 and not on_cpu and experiment.budget.seconds is not None:
        raise ValueError(
            f"--jobs is {jobs}, but runs that share a GPU would be timed, and so given their steps, by what the others "
            "do; leave --jobs out, or give --set budget='{steps: 4000}' in place of its seconds."
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


def checked_runs(experiment: Experiment) -> tuple[list[tuple[int, Run]], list[tuple[int, Run]]]:
    """The tuning runs and those of the comparison with their indices, all options checked."""
    check_data(experiment)
    runs = list(enumerate(list_runs(experiment)))
    check_modules(plan_stages(experiment, run, dict(run.rates)) for _, run in runs)
    return [(i, run) for i, run in runs if run.rates], [(i, run) for i, run in runs if not run.rates]


def write_experiment(experiment: Experiment, directory: Path) -> Path:
    """Write the experiment as it is to run, for its processes to read.

    The file's name follows from its content: another selection of methods or seeds, started into the same folder, must
    not change what the indices of processes that still run or wait mean.
    """
    content = yaml.safe_dump(asdict(experiment), sort_keys=False)
    file = directory / f"experiment-{hashlib.sha256(content.encode()).hexdigest()[:8]}.yaml"
    write_text(file, content)
    return file


def missing(experiment: Experiment, runs: Sequence[tuple[int, Run]], directory: Path) -> list[tuple[int, Run]]:
    """The runs, with their indices, that have a stage without result."""
    return [
        (index, run)
        for index, run in runs
        if not all(
            [is_done(plan, directory) for plan in plan_stages(experiment, run, rates_of(experiment, run, directory))]
        )
    ]
