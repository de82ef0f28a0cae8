"""Runs as tasks of a SLURM job array: one batch script, one task a run, which continues when its task starts again."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memtrain.experiment.launcher import run_command
from memtrain.experiment.plan import RunPlan
from memtrain.experiment.specification import Experiment
from memtrain.files import write_text
from memtrain.spans import spans

SECONDS_TO_REQUEUE = 120
"""How long before the time limit SLURM says so."""
REQUEUE = """\
# {seconds} s before its time limit the run goes back to the queue; the next turn continues from the last checkpoint.
trap 'scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"' USR1
"""


def write_script(
    experiment: Experiment, name: str, plans: Sequence[RunPlan], file: Path, directory: Path, jobs: int | None
) -> Path:
    """Write the batch script of runs to `slurm/NAME.sh` in the folder of the results, where their logs will be too.

    Args:
        experiment: the experiment.
        name: of the script and its logs.
        plans: of the runs.
        file: the experiment, whose runs the indices count.
        directory: folder of the results.
        jobs: tasks at a time; None: as many as the cluster grants.
    """
    folder = directory.resolve() / "slurm"
    asked = experiment.slurm
    accelerator, devices, machines = processes(plans)
    at_a_time = f"%{jobs}" if jobs is not None else ""
    options: dict[str, Any] = {
        "job-name": experiment.name,
        "array": spans((plan.index for plan in plans), separator=",") + at_a_time,
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


def processes(plans: Sequence[RunPlan]) -> tuple[str, int, int]:
    """What each run trains on: accelerator, processes (devices) on each machine, machines.

    Raises:
        ValueError: where that cannot be known here, or differs between stages.
    """
    asked = {
        tuple(stage.configuration["trainer"][name] for name in ("accelerator", "devices", "num_nodes"))
        for plan in plans
        for stage in plan.stages
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
