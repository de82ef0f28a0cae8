"""What a run leaves behind while it trains: `checkpoints/last.ckpt` and `metrics.csv`, both whole at any moment."""

import csv
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from memtrain.files import write_table
from memtrain.training import MemoryModule

SECONDS_BETWEEN_WRITES = 5.0
"""Of the table of metrics, where no checkpoint asks for it."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it, so that a killed run never leaves half a file."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`."""
        path = Path(path)
        # Not named after `path`: Lightning takes any file with "last" in its name for a checkpoint.
        unfinished = path.with_name(f"unfinished-{os.getpid()}")
        super().save_checkpoint(checkpoint, unfinished, storage_options)
        unfinished.replace(path)


class LastCheckpoint(ModelCheckpoint):
    """Keeps `checkpoints/last.ckpt`: every so many optimiser steps, after each validation and at the end of training.

    Args:
        every_n_steps: optimiser steps between two checkpoints.
    """

    def __init__(self, every_n_steps: int) -> None:
        super().__init__(
            every_n_train_steps=every_n_steps,
            save_top_k=0,
            save_last=True,
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Steps are logged by a count of Lightning's, which, by when a checkpoint was saved, continues one off."""
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """The validation of a step comes first: a run that continues from between the two would leave it out."""
        loop = trainer.fit_loop
        if loop._data_fetcher is None or not loop.epoch_loop._should_check_val_fx(loop._data_fetcher):
            super().on_train_batch_end(trainer, pl_module, *args, **kwargs)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The step is whole. One that ends within its validation is repeated, from the checkpoint before."""
        self.on_train_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The trained state is what is evaluated, whatever step training ended at."""
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """A run that is told to end (SIGTERM, which Lightning heeds between two steps) keeps what it has done.

        It ends with a sentence and status 1; left alone, Lightning's exception ends it silently and with status 0.
        """
        if not isinstance(exception, SIGTERMException):
            return
        if not trainer.validating:  # else it continues from the checkpoint before, and validates again
            self.on_train_end(trainer, pl_module)
        exception.code = (
            f"memtrain: told to end by SIGTERM after {trainer.global_step} optimiser steps; the last checkpoint is "
            f"{self.last_model_path or 'not yet written'}: continue with --ckpt_path last, or the same memtrain run"
        )


class MetricsTable(Logger):
    """Logs to a csv file: one row a logged step, one column a metric, empty where a step has no value.

    Lightning's CSVLogger deletes the file of the run that it continues; this one keeps it up to the checkpoint.

    Args:
        directory: folder of the run.
        table: the file's name: metrics of a training, validate or test where a checkpoint is read.
    """

    def __init__(self, directory: str | Path, table: str = "metrics") -> None:
        super().__init__()
        self.path = Path(directory) / f"{table}.csv"
        self.rows: list[dict[str, Any]] = []
        self.saved = -math.inf

    @property
    def name(self) -> str:
        """No subfolder."""
        return ""

    @property
    def version(self) -> str:
        """No subfolder."""
        return ""

    @property
    def save_dir(self) -> str:
        """The folder of the run."""
        return str(self.path.parent)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: `config.yaml` and the checkpoint have them."""

    def continue_from(self, step: int) -> None:
        """Take over the rows that an earlier part of this run has logged before optimiser step `step`."""
        self.rows = []
        if step > 0 and self.path.exists():
            with self.path.open(newline="") as file:
                self.rows = [row | {"step": int(row["step"])} for row in csv.DictReader(file)]
            self.rows = [row for row in self.rows if row["step"] < step]

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add to the row of `step`; Lightning calls `save` after it."""
        if not self.rows or self.rows[-1]["step"] != step:
            self.rows.append({"step": step})
        self.rows[-1].update(metrics)

    @rank_zero_only
    def save(self) -> None:
        """Write all rows, though not at each logged step: a long run has many, and they are written whole."""
        if time.monotonic() - self.saved >= SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        """Write all rows, if there are any: Lightning also saves before it has told where a run continues."""
        if self.rows:
            write_table(self.path, self.rows)
            self.saved = time.monotonic()

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """A run that continues from this checkpoint finds its rows; that of its step comes next, and is written too."""
        self.write()
        self.saved = -math.inf

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what the last checkpoint did not cover."""
        self.write()


class Timeline(TensorBoardLogger):
    """Logs to TensorBoard, where the stages of a method are one line: steps count on from the stage before.

    It leaves out what `memtrain.callbacks.Axes` and `Hyperparameters` write in a form that can be compared.

    Args:
        directory: folder of the events.
        before: optimiser steps of the stages before.
    """

    def __init__(self, directory: str | Path, before: int) -> None:
        super().__init__(directory, name="", version="", default_hp_metric=False)
        self.before = before

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log all but validations, their costs, and the epoch, which stays 0."""
        shown = {k: v for k, v in metrics.items() if k != "epoch" and not k.startswith(("val/", "cost/"))}
        super().log_metrics(shown, None if step is None else step + self.before)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing, as nothing has come out yet."""

    @rank_zero_only
    def save(self) -> None:
        """Write what is held back; `config.yaml` stands for the options."""
        self.experiment.flush()


class CostRecord(Callback):
    """Puts what training has cost so far beside each validation, and continues the table of an interrupted run."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the rows that the checkpoint's part of the run has logged."""
        for logger in trainer.loggers:
            if isinstance(logger, MetricsTable):
                logger.continue_from(trainer.global_step)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the cumulative counters as `cost/...`."""
        if trainer.state.fn == TrainerFn.FITTING:
            assert isinstance(pl_module, MemoryModule)
            counters = pl_module.counters.to_primitive()
            pl_module.log_dict({f"cost/{name}": float(value) for name, value in counters.items()})
