"""SLURM's queue: submit batch scripts, note which task does which run, ask which tasks are not done."""

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from memtrain.experiment.plan import RunPlan
from memtrain.files import read_json, write_json


def submission(script: Path, after: Sequence[str]) -> list[str]:
    """The words that submit a script, to start when all tasks of the jobs `after` have succeeded."""
    dependency = [f"--dependency={':'.join(['afterok', *after])}", "--kill-on-invalid-dep=yes"] if after else []
    return ["sbatch", "--parsable", *dependency, str(script)]


def submit(script: Path, after: Sequence[str] = ()) -> str:
    """Submit a script.

    Args:
        script: a batch script.
        after: numbers of the jobs that must have succeeded before.

    Returns:
        The number of the job.

    Raises:
        ValueError: if sbatch refuses it.
    """
    done = run_program(submission(script, after))
    if done.returncode != 0:
        raise ValueError(f"sbatch has refused {script}: {' '.join(done.stderr.split()) or 'it does not say why'}.")
    return done.stdout.strip().partition(";")[0]  # NUMBER, or NUMBER;CLUSTER


def note_job(directory: Path, job: str, plans: Iterable[RunPlan]) -> None:
    """Keep which task of a job does which run, in `slurm/jobs.json` of the folder of the results."""
    file = directory / "slurm" / "jobs.json"
    jobs = read_json(file) or {}
    write_json(file, jobs | {job: {str(plan.index): plan.run.folder.as_posix() for plan in plans}})


def queued(directory: Path) -> dict[str, str]:
    """The jobs of the runs that wait or are at work on the cluster, by the folders of the runs.

    Args:
        directory: folder of the results.
    """
    jobs = read_json(directory / "slurm" / "jobs.json") or {}
    waiting = tasks_in_queue() if jobs else set()
    return {folder: job for job, tasks in jobs.items() for task, folder in tasks.items() if (job, task) in waiting}


def tasks_in_queue() -> set[tuple[str, str]]:
    """Job and index of all tasks that wait or run, asked for once.

    SLURM soon forgets a job that has ended, and would refuse a question about it alone.

    Raises:
        ValueError: if squeue does not answer.
    """
    asked = run_program(["squeue", "--noheader", "--array", "--format=%F %K"])
    if asked.returncode != 0:
        raise ValueError(
            f"squeue does not say which jobs are in the queue ({' '.join(asked.stderr.split()) or 'nor why'}), and "
            "runs must not be submitted twice; try again when SLURM answers."
        )
    lines = (line.split() for line in asked.stdout.splitlines())
    return {(words[0], words[1]) for words in lines if len(words) == 2}


def run_program(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program of SLURM and keep what it says."""
    return subprocess.run(words, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)


def require_programs() -> None:
    """Refuse to go on where nothing can be submitted.

    Raises:
        FileNotFoundError: if there is no sbatch, or no squeue.
    """
    for program in ("sbatch", "squeue"):
        if shutil.which(program) is None:
            raise FileNotFoundError(
                f"--launcher is slurm, but this machine has no {program}; log in to the cluster, or only write with "
                "--dry-run."
            )
