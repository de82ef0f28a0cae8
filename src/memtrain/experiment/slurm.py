"""Runs as tasks of a SLURM job array: one batch script, one task a run; a task that starts again continues its run."""

import shlex
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from memtrain.experiment.launcher import run_command
from memtrain.experiment.plan import Run, plan_stages
from memtrain.experiment.specification import Experiment
from memtrain.files import read_json, write_json, write_text
from memtrain.spans import spans

SECONDS_TO_REQUEUE = 120
"""How long before the time limit SLURM says so."""
REQUEUE = """\
# {seconds} s before its time limit the run goes back to the queue; the next turn continues from the last checkpoint.
trap 'scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"' USR1
"""


def write_script(
    experiment: Experiment, name: str, runs: Sequence[tuple[int, Run]], file: Path, directory: Path, jobs: int | None
) -> Path:
    """Write the batch script of runs to `slurm/NAME.sh` in the folder of the results, where their logs will be too.

    Args:
        experiment: the experiment.
        name: of the script and its logs.
        runs: index and run, each.
        file: the experiment, in the order of whose runs the indices count.
        directory: folder of the results.
        jobs: tasks at a time; None: as many as the cluster grants.
    """
    folder = directory.resolve() / "slurm"
    asked = experiment.slurm
    accelerator, devices, machines = processes(experiment, [run for _, run in runs])
    at_a_time = f"%{jobs}" if jobs is not None else ""
    options: dict[str, Any] = {
        "job-name": experiment.name,
        "array": spans((index for index, _ in runs), separator=",") + at_a_time,
        "chdir": Path.cwd(),
        "output": folder / f"{name}-%a.log",
        "open-mode": "append",
        "partition": asked.partition,
        "time": max(1, round(60 * asked.hours)),  # minutes
        "nodes": machines,
        "ntasks-per-node": devices,
        "cpus-per-task": asked.cpus,
        "gres": f"gpu:{devices}" if accelerator in ("gpu", "cuda") else None,
        "mem": asked.memory,
        "signal": f"B:USR1@{SECONDS_TO_REQUEUE}" if asked.requeue else None,
        **asked.options,
    }
    lines = [f"#SBATCH --{option}={shlex.quote(str(value))}" for option, value in options.items() if value is not None]
    lines.append("#SBATCH --requeue" if asked.requeue else "#SBATCH --no-requeue")
    start = ["srun", f"--nodes={machines}", f"--ntasks-per-node={devices}", f"--cpus-per-task={asked.cpus}"]
    command = shlex.join([*start, "--kill-on-bad-exit=1", *run_command(file.resolve(), directory.resolve()), "--index"])
    script = [
        "#!/bin/bash",
        f"# Runs of the experiment {experiment.name}, one a task; written by memtrain run --launcher slurm.",
        *lines,
        "",
        *asked.setup,
        *([REQUEUE.format(seconds=SECONDS_TO_REQUEUE)] if asked.requeue else []),
        f'{command} "$SLURM_ARRAY_TASK_ID" &',
        "run=$!",
        'wait "$run" || wait "$run"  # a second time where the signal has ended the first',
    ]
    write_text(folder / f"{name}.sh", "\n".join(script) + "\n")
    return folder / f"{name}.sh"


def processes(experiment: Experiment, runs: Sequence[Run]) -> tuple[str, int, int]:
    """What each run trains on: accelerator, processes (devices) on each machine, machines.

    Raises:
        ValueError: where that cannot be known here, or differs between stages.
    """
    asked = {
        tuple(plan.configuration["trainer"][name] for name in ("accelerator", "devices", "num_nodes"))
        for run in runs
        for plan in plan_stages(experiment, run, dict(run.rates))
    }
    if len(asked) > 1:
        raise ValueError(
            f"The stages ask for different devices ({sorted(map(str, asked))}); set them in trainer alone."
        )
    ((accelerator, devices, machines),) = asked
    if accelerator == "auto":
        raise ValueError("trainer.accelerator is auto, but a cluster must be asked for what is meant; set cpu or gpu.")
    if accelerator == "cpu" and devices == "auto":
        devices = 1
    if not str(devices).isdecimal() or int(devices) < 1:
        raise ValueError(f"trainer.devices is {devices}, but a cluster must be asked for a number; set for example 4.")
    return accelerator, int(devices), machines


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
    done = subprocess.run(submission(script, after), capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(f"sbatch has refused {script}: {' '.join(done.stderr.split()) or 'it does not say why'}.")
    return done.stdout.strip().partition(";")[0]  # NUMBER, or NUMBER;CLUSTER


def note_job(directory: Path, job: str, runs: Iterable[tuple[int, Run]]) -> None:
    """Keep which task of a job does which run, in `slurm/jobs.json` of the folder of the results."""
    file = directory / "slurm" / "jobs.json"
    jobs = read_json(file) or {}
    write_json(file, jobs | {job: {str(index): run.folder.as_posix() for index, run in runs}})


def queued(directory: Path) -> dict[str, str]:
    """The job of each run, by its folder, that the cluster has not done with: it waits, or runs.

    Args:
        directory: folder of the results.
    """
    jobs = read_json(directory / "slurm" / "jobs.json") or {}
    return {folders[task]: job for job, folders in jobs.items() for task in tasks_in_queue(job) if task in folders}


def tasks_in_queue(job: str) -> list[str]:
    """Indices of the tasks of a job that wait or run.

    Raises:
        ValueError: if squeue does not know; SLURM soon forgets a job that has ended, and then calls its number invalid.
    """
    command = ["squeue", "--noheader", "--array", "--format=%K", f"--jobs={job}"]
    asked = subprocess.run(command, capture_output=True, text=True)
    if asked.returncode == 0:
        return asked.stdout.split()
    said = " ".join(asked.stderr.split())
    if "invalid job id" in said.lower():
        return []
    raise ValueError(
        f"squeue does not say whether job {job} is in the queue ({said or 'nothing else either'}), and its runs must "
        "not be submitted twice; try again when SLURM answers."
    )


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
