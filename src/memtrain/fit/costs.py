"""What training has cost, beside each validation, and the row of the table that each step logs to."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn

from memtrain.fit.table import MetricsTable
from memtrain.fit.timeline import Timeline
from memtrain.training import StageModule


class CostRecord(Callback):
    """Puts what training has cost so far beside each validation, and continues the table of an interrupted run."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the rows that the checkpoint's part of the run has logged."""
        for logger in trainer.loggers:
            if isinstance(logger, MetricsTable):
                logger.continue_from(trainer.global_step)

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Tell the records which step it is."""
        for logger in trainer.loggers:
            if isinstance(logger, (MetricsTable, Timeline)):
                logger.step = trainer.global_step

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the cumulative counters as `cost/...`."""
        if trainer.state.fn == TrainerFn.FITTING:
            assert isinstance(pl_module, StageModule)
            counters = pl_module.counters.to_primitive()
            pl_module.log_dict({f"cost/{name}": float(value) for name, value in counters.items()})
