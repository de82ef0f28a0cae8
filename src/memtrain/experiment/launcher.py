"""Runs as processes of this machine: a few at a time, one thread and one progress bar each."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from memtrain.experiment.plan import RunPlan
from memtrain.experiment.runs import Run
from memtrain.files import read_json
from memtrain.lock import only_worker

SECONDS_BETWEEN_LOOKS = 0.2
PARENT = "MEMTRAIN_PARENT"
"""Environment variable that holds the launcher's process id."""


@dataclass
class Job:
    """A run and its process."""

    run: Run
    folder: Path
    bar: TaskID
    process: subprocess.Popen[bytes]
    log: IO[bytes]


def launch(plans: Sequence[RunPlan], file: Path, directory: Path, jobs: int, console: Console) -> list[Run]:
    """Train runs in processes of their own.

    Args:
        plans: of the runs.
        file: the experiment, whose runs the indices count.
        directory: folder of the results.
        jobs: processes at a time.
        console: where to draw.

    Returns:
        The runs that failed, each explained by one sentence on the console.
    """
    if not plans:
        return []
    waiting = list(plans)
    working: list[Job] = []
    failed: list[Run] = []
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[message]}"),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        try:
            while waiting or working:
                while waiting and len(working) < jobs:
                    plan = waiting.pop(0)
                    try:
                        with only_worker("--output", directory / plan.run.folder):
                            pass  # another launcher's process may be at work: leave its log alone
                    except ValueError as error:
                        console.print(f"The run {plan.run} is left out: {error}", markup=False, highlight=False)
                        failed.append(plan.run)
                        continue
                    working.append(start(plan, file, directory, progress))
                time.sleep(SECONDS_BETWEEN_LOOKS)
                for job in working.copy():
                    show(job, progress)
                    if job.process.poll() is not None:
                        working.remove(job)
                        if not finish(job, progress):
                            failed.append(job.run)
        finally:
            for job in working:  # interrupted: the checkpoints let the same command continue
                job.process.terminate()
                job.log.close()
    return failed


def start(plan: RunPlan, file: Path, directory: Path, progress: Progress) -> Job:
    """Start the process of a run, which prints to a new `log.txt` in the run's folder."""
    folder = directory / plan.run.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "progress.json").unlink(missing_ok=True)
    log = (folder / "log.txt").open("wb")
    process = subprocess.Popen(
        [*run_command(file, directory), "--index", str(plan.index)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={"OMP_NUM_THREADS": "1", **os.environ, "PYTHONIOENCODING": "utf-8", PARENT: str(os.getpid())},
    )
    bar = progress.add_task(str(plan.run), total=1.0, message="starting")
    return Job(plan.run, folder, bar, process, log)


def run_command(file: Path, directory: Path) -> list[str]:
    """The command that trains one run of an experiment file; the caller adds `--index`."""
    return [sys.executable, "-m", "memtrain", "run", str(file), "--output", str(directory)]


def show(job: Job, progress: Progress) -> None:
    """Draw how far a run is."""
    report = read_json(job.folder / "progress.json")
    if report is not None:
        progress.update(job.bar, completed=report["fraction"], message=f"{report['stage']}: {report['message']}")


def finish(job: Job, progress: Progress) -> bool:
    """Tell how an ended process has ended, and close its log; False if it failed."""
    job.log.close()
    succeeded = job.process.returncode == 0
    progress.remove_task(job.bar)  # the bars of all runs would not fit a terminal
    if succeeded:
        progress.console.print(f"{job.run}: done")
    if not succeeded:
        lines = (job.folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines() or [
            "it printed nothing"
        ]
        progress.console.print(
            f"The run {job.run} {ending(job.process.returncode)} ({job.folder / 'log.txt'}): {lines[-1]}",
            markup=False,
            highlight=False,
        )
    return succeeded


def ending(status: int) -> str:
    """How a process failed, from its exit status; a negative one is the signal that killed it."""
    if status >= 0:
        return f"failed with status {status}"
    return f"was killed by {signal.Signals(-status).name}"


def is_first() -> bool:
    """Whether this process is the first, or the only one, of those that train a run together."""
    return rank_zero_only.rank == 0  # type: ignore[attr-defined]


def end_with_launcher() -> None:
    """End this process, if a launcher has started it, when the launcher has ended."""
    launcher = int(os.environ.get(PARENT, 0)) if is_first() else 0  # the others end with the first

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(1.0)
        os._exit(1)

    if launcher:
        threading.Thread(target=watch, daemon=True).start()
