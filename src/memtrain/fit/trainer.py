"""What every trainer of memtrain has, whatever its configuration lists: records, checkpoints, a bar of steps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import Logger

from memtrain.callbacks import Axes, DriftCurve, Hyperparameters, MemoryGeometry, Samples
from memtrain.fit.cluster import requeue_signal
from memtrain.fit.costs import CostRecord
from memtrain.fit.predictions import PredictionTable
from memtrain.fit.progress_bar import StepBar
from memtrain.fit.saving import LastCheckpoint
from memtrain.fit.signals import BetweenSteps
from memtrain.fit.table import MetricsTable
from memtrain.fit.timeline import Timeline


class StepTrainer(Trainer):
    """Lightning's Trainer, for which 1 is one batch and 1.0 is all of them.

    It declares these options as a union of float and int, in whatever order a library imported before has cached: the
    parser then takes 1 for 1.0. A union written so is never cached.
    """

    def __init__(
        self,
        *args: Any,
        limit_train_batches: int | float | None = None,
        limit_val_batches: int | float | None = None,
        limit_test_batches: int | float | None = None,
        limit_predict_batches: int | float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *args,
            limit_train_batches=limit_train_batches,
            limit_val_batches=limit_val_batches,
            limit_test_batches=limit_test_batches,
            limit_predict_batches=limit_predict_batches,
            **kwargs,
        )


GPUS = {"gpu": (CUDAAccelerator, MPSAccelerator), "cuda": (CUDAAccelerator,), "mps": (MPSAccelerator,)}


def has_gpu(accelerator: str = "gpu") -> bool:
    """Whether Lightning finds a GPU of this kind, a key of `GPUS`."""
    return any(gpu.is_available() for gpu in GPUS[accelerator])


def require_devices(accelerator: Any, devices: Any) -> None:
    """Refuse devices that are not there.

    Args:
        accelerator: trainer.accelerator.
        devices: trainer.devices.

    Raises:
        ValueError: naming the option.
    """
    if accelerator in GPUS and not has_gpu(accelerator):
        raise ValueError(
            f"trainer.accelerator is {accelerator}, but this machine, or this torch, has none; set it to cpu."
        )
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not has_gpu())
    if on_cpu and devices != "auto" and not (str(devices).isdigit() and int(devices) > 0):
        raise ValueError(
            f"trainer.devices is {devices}, but on a CPU it is the number of processes; set it to 1, or more with "
            "trainer.strategy ddp."
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
    drawn = any(isinstance(callback, ProgressBar) for callback in as_list(options.callbacks))
    bar: list[Callback] = [] if drawn or options.enable_progress_bar is False else [StepBar()]
    if command == "predict":
        return [*bar, PredictionTable(directory)]
    if command in ("validate", "test"):
        return bar
    kept: list[Callback] = [*bar, CostRecord(), Axes(), DriftCurve(), Samples(), MemoryGeometry()]
    if alone:
        kept.append(Hyperparameters())  # else they are those of all stages, and not known here
    records = options.enable_checkpointing is not False and not options.fast_dev_run
    last = LastCheckpoint(every) if records else None
    kept.append(BetweenSteps(requeue_signal(as_list(options.plugins)), last))
    return kept if last is None else [*kept, last]


def named_by_step(chosen: list[Callback]) -> list[Callback]:
    """Give checkpoints that are given no name one without epochs: `step=200.ckpt`."""
    for callback in chosen:
        if isinstance(callback, ModelCheckpoint) and callback.filename is None:
            callback.filename = "{step}"
    return chosen


def as_list(chosen: Any) -> list[Any]:
    """What Lightning takes as one, as several or not at all."""
    return [] if chosen is None else list(chosen) if isinstance(chosen, Sequence) else [chosen]
