"""What every trainer of memtrain has, whatever its configuration lists: records, checkpoints, a bar of steps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import Callback
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from lightning.pytorch.loggers import Logger

from memtrain.callbacks import Axes, DriftCurve, Hyperparameters, MemoryGeometry, Samples
from memtrain.fit.costs import CostRecord
from memtrain.fit.predictions import PredictionTable
from memtrain.fit.saving import LastCheckpoint
from memtrain.fit.table import MetricsTable
from memtrain.fit.timeline import Timeline

GPUS = {"gpu": (CUDAAccelerator, MPSAccelerator), "cuda": (CUDAAccelerator,), "mps": (MPSAccelerator,)}


def has_gpu(accelerator: str = "gpu") -> bool:
    """Whether Lightning finds a GPU of this kind, a key of `GPUS`."""
    return any(gpu.is_available() for gpu in GPUS[accelerator])


def require_gpu(accelerator: Any) -> None:
    """Refuse an accelerator that is not there.

    Raises:
        ValueError: naming it.
    """
    if accelerator in GPUS and not has_gpu(accelerator):
        raise ValueError(
            f"trainer.accelerator is {accelerator}, but this machine, or this torch, has none; set it to cpu."
        )


def loggers(chosen: Any, command: str, directory: Path, events: Path, before: int) -> list[Logger]:
    """The table of metrics, which every run keeps, then TensorBoard, or the configuration's loggers in its place.

    Args:
        chosen: trainer.logger.
        command: fit, validate, test or predict.
        directory: folder of the run.
        events: folder of the TensorBoard events.
        before: optimizer steps of the stages before.
    """
    # The first logger's folder is also where Lightning puts `config.yaml`. What reads a checkpoint has a table of its
    # own: that of the training stays.
    table = MetricsTable(directory, "metrics" if command == "fit" else command)
    if isinstance(chosen, (list, Logger)):
        return [table, *as_list(chosen)]
    if chosen is False or command != "fit":
        return [table]
    return [table, Timeline(events, before)]


def callbacks(options: Namespace, command: str, directory: Path, every: int, alone: bool) -> list[Callback]:
    """The callbacks that every run has.

    Args:
        options: of the trainer.
        command: fit, validate, test or predict.
        directory: folder of the run.
        every: optimizer steps between two checkpoints.
        alone: the run's events are its own, and not those of several stages.
    """
    if command == "predict":
        return [PredictionTable(directory)]
    if command in ("validate", "test"):
        return []
    kept: list[Callback] = [CostRecord(), Axes(), DriftCurve(), Samples(), MemoryGeometry()]
    if alone:
        kept.append(Hyperparameters())  # else they are those of all stages, and not known here
    if options.enable_checkpointing is not False and not options.fast_dev_run:
        kept.append(LastCheckpoint(every))
    return kept


def as_list(chosen: Any) -> list[Any]:
    """What Lightning takes as one, as several or not at all."""
    return [] if chosen is None else list(chosen) if isinstance(chosen, Sequence) else [chosen]
