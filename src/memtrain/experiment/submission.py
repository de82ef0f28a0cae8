"""A whole experiment on a SLURM cluster: check everything, submit what is missing and not in the queue."""

import shlex
from pathlib import Path

from memtrain.experiment.data import prepare_data
from memtrain.experiment.execution import unfinished
from memtrain.experiment.runner import announce, checked_plans, write_experiment
from memtrain.experiment.slurm_queue import note_job, queued, require_programs, submission, submit
from memtrain.experiment.slurm_script import write_script
from memtrain.experiment.specification import Experiment
from memtrain.experiment.tuning import tuned, write_tuning


def submit_experiment(experiment: Experiment, directory: Path, jobs: int | None = None, dry_run: bool = False) -> bool:
    """Submit the unfinished runs of an experiment to a SLURM cluster, but those that are in its queue.

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
    tuning, compared = checked_plans(experiment)
    left = {"tuning": unfinished(tuning, directory), "runs": compared}
    if not left["tuning"]:
        write_tuning(experiment, directory)
        left["runs"] = unfinished(tuned(experiment, compared, directory), directory)
    busy: dict[str, str] = {}
    if dry_run:
        console.print("The data are not prepared: without --dry-run they would be, here, where there is a network.")
    else:
        require_programs()
        prepare_data(experiment)
        busy = queued(directory)
    file = write_experiment(experiment, directory)
    after: list[str] = []
    for name, plans in left.items():
        waiting = sorted({busy[folder] for plan in plans if (folder := plan.run.folder.as_posix()) in busy})
        plans = [plan for plan in plans if plan.run.folder.as_posix() not in busy]
        if waiting:
            console.print(f"Some of the {name} are still in SLURM's queue, as {', '.join(waiting)}, and stay there.")
        if plans:
            script = write_script(experiment, name, plans, file, directory, jobs)
            job = "JOB" if dry_run else submit(script, after)
            said = f"submit it with {shlex.join(submission(script, after))}" if dry_run else f"job {job}"
            console.print(f"{len(plans)} of the {name}: {script}, {said}")
            if not dry_run:
                note_job(directory, job, plans)
            waiting.append(job)
        after = waiting
    return any(left.values())
