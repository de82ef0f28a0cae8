"""`memtrain fit` as part of a SLURM job: the processes that SLURM has started, and a job's next turn."""

import os
from collections.abc import Sequence
from pathlib import Path
from signal import Signals
from typing import Any

from lightning import Trainer
from lightning.fabric.plugins.environments import ClusterEnvironment, SLURMEnvironment, TorchElasticEnvironment

from memtrain.files import LAST_CHECKPOINT
from memtrain.private import HPC_CHECKPOINTS

REMEDY = "give sbatch and srun --nodes and --ntasks-per-node as trainer.num_nodes and trainer.devices."


def require_srun(plugins: Sequence[Any]) -> None:
    """Refuse what Lightning would find out too late: before a trainer is built.

    Args:
        plugins: of the trainer.

    Raises:
        ValueError: for a cluster that is asked for and not there, and for processes that could not find one another.
    """
    asked = any(isinstance(plugin, SLURMEnvironment) for plugin in plugins)
    if asked and "SLURM_NTASKS" not in os.environ:
        raise ValueError(
            "trainer.plugins has SLURMEnvironment, but SLURM has not started this process; start it with srun in a "
            "batch script that has --ntasks-per-node, or take the configuration of another trainer."
        )
    tasks = started_tasks()
    if tasks is None or tasks == 1:
        return
    if "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise ValueError(f"SLURM has started {tasks} processes, but was not asked for so many a machine; {REMEDY}")
    if "SLURM_STEP_ID" not in os.environ:
        raise ValueError(
            f"SLURM is to start {tasks} processes, but this is the batch script's own, which would wait for the "
            "others; start memtrain with srun."
        )


def require_processes(trainer: Trainer) -> None:
    """Refuse another number of processes than the trainer's: each would train alone and overwrite the others' files.

    Raises:
        ValueError: naming both numbers.
    """
    tasks, wanted = started_tasks(), trainer.num_devices * trainer.num_nodes
    if tasks not in (None, wanted):
        raise ValueError(f"SLURM has started {tasks} processes, but the trainer has {wanted}; {REMEDY}")


def started_tasks() -> int | None:
    """Processes that SLURM has started together; None where it has not started this one."""
    return int(os.environ["SLURM_NTASKS"]) if SLURMEnvironment.detect() else None


def is_next_turn() -> bool:
    """Whether the cluster has started this job again: after its time limit, or the loss of its machine."""
    return SLURMEnvironment.detect() and int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0


def requeue_signal(plugins: Sequence[Any]) -> Signals | None:
    """The signal by which SLURM says that the time limit is near; None: nobody waits for one.

    Args:
        plugins: of the trainer. Without a cluster among them, Lightning takes SLURM if that has started this process,
            and not torchrun.
    """
    chosen = [plugin for plugin in plugins if isinstance(plugin, ClusterEnvironment)]
    if not chosen and SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        return Signals.SIGUSR1  # that of SLURMEnvironment()
    found = [plugin for plugin in chosen if isinstance(plugin, SLURMEnvironment) and plugin.auto_requeue]
    return found[0].requeue_signal if found else None


def left_at_time_limit(folder: Path) -> Path | None:
    """The newest checkpoint that Lightning itself has saved when a time limit was near, and would continue."""
    found = folder.glob(HPC_CHECKPOINTS)
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def continues_by_itself(folder: Path) -> bool:
    """Whether that checkpoint is a run's newest: Lightning then needs to be told of none."""
    at_limit, last = left_at_time_limit(folder), folder / LAST_CHECKPOINT
    return at_limit is not None and not (last.is_file() and last.stat().st_mtime > at_limit.stat().st_mtime)


def step_name() -> str | None:
    """Numbers of job and step: the same for all processes of a step, and in each turn of its job."""
    job, step = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_STEP_ID")
    return f"{job}.{step}" if step and SLURMEnvironment.detect() else None
