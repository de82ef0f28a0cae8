"""`checkpoints/last.ckpt`: whole at any moment, and such that a run that continues from it leaves nothing out."""

import os
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException

from memtrain.files import LAST_CHECKPOINT
from memtrain.fit.plain import require_plain, require_readable
from memtrain.fit.table import MetricsTable


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it, so that a killed run never leaves half a file.

    What could not be read again takes no other's place.
    """

    def __init__(self) -> None:
        self.read = False
        """Whether a checkpoint has been read back."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`, and read the first one back.

        Raises:
            ValueError: naming the part that is neither a tensor nor a plain value.
        """
        require_plain(checkpoint)
        path = Path(path)
        unfinished = path.with_name(f"unfinished-{os.getpid()}")
        super().save_checkpoint(checkpoint, unfinished, storage_options)
        if not self.read:
            require_readable(unfinished)
            self.read = True
        unfinished.replace(path)


class LastCheckpoint(Checkpoint):
    """Keeps `checkpoints/last.ckpt`: every so many optimizer steps, after each validation and at the end of training.

    Args:
        every: optimizer steps between two checkpoints.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.path: Path | None = None
        self.saved: int | None = None
        """The optimizer step of the newest checkpoint that this process has written."""
        self.due = False
        """Whether a checkpoint is to follow the step that is being done, whatever its number."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Decide where the file will be; a folder named by the time is another in each process."""
        self.path = trainer.strategy.broadcast(Path(trainer.default_root_dir, LAST_CHECKPOINT))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Try a checkpoint out before the first step, rather than lose what has been trained."""
        assert self.path is not None  # since setup
        trial = self.path.with_name("trial.ckpt")
        trainer.save_checkpoint(trial, weights_only=False)
        if trainer.is_global_zero:
            trial.unlink()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """The validation of a step comes first: a run that continues from between the two would leave it out."""
        ends = stops_early(trainer) or trainer.global_step == trainer.max_steps
        if (ends or self.due or trainer.global_step % self.every == 0) and not validates_now(trainer):
            self.save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The step is whole. One that ends within its validation is repeated, from the checkpoint before."""
        self.save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the trained state, whatever step training ended at.

        A step that was known to be the last has been saved already: since then, callbacks may have replaced the weights
        by averages.
        """
        if self.saved != trainer.global_step:
            self.save(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """A run that is told to end (SIGTERM, which Lightning heeds between two steps) keeps what it has done."""
        if not isinstance(exception, SIGTERMException):
            return
        # A run that ends within a validation continues from the checkpoint before, and validates again.
        if not trainer.validating and self.saved != trainer.global_step:
            self.save(trainer)
        newest = self.path if self.path is not None and self.path.is_file() else "not yet written"
        exception.add_note(
            f"after {trainer.global_step} optimizer steps; the last checkpoint is {newest}: continue with --ckpt_path "
            "last, or the same memtrain run"
        )

    def save(self, trainer: Trainer) -> None:
        """Write the checkpoint, and the metrics up to it, which a run that continues from it takes over."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        assert self.path is not None  # since setup
        trainer.save_checkpoint(self.path, weights_only=False)  # the whole state, not the weights alone
        self.saved, self.due = trainer.global_step, False
        for logger in trainer.loggers:
            if isinstance(logger, MetricsTable):
                logger.cover_checkpoint()


def validates_now(trainer: Trainer) -> bool:
    """Whether Lightning validates at the end of this optimizer step, whose batch has just ended.

    True of trainers that validate every `val_check_interval` steps of one endless epoch, as all of memtrain do
    (`memtrain.fit.refusals`).
    """
    if not trainer.enable_validation:
        return False
    return stops_early(trainer) or trainer.global_step % trainer.val_check_interval == 0


def stops_early(trainer: Trainer) -> bool:
    """Whether a callback has asked for an end, as EarlyStopping does, and enough steps are done."""
    return trainer.should_stop and trainer.global_step >= (trainer.min_steps or 0)
