"""Metrics that callbacks watch: one that does not exist is refused at the first validation."""

from collections.abc import Sequence

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

LOGGED_BY_STEPS = "train/"


class MonitoredMetrics(Callback):
    """Refuses callbacks that watch a metric which does not exist, as EarlyStopping and ModelCheckpoint can.

    It comes first in a trainer's list: Lightning's own callbacks would end the run with an error of their own. The
    validation that is tried out before training tells already, of all metrics but those of training steps.

    Args:
        callbacks: those of the configuration.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks = callbacks

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare.

        Raises:
            ValueError: naming callback, metric and those that exist.
        """
        known = [name for name in trainer.callback_metrics if not name.startswith(LOGGED_BY_STEPS)]
        for callback in self.callbacks:
            monitor = getattr(callback, "monitor", None)
            unknown = isinstance(monitor, str) and monitor not in trainer.callback_metrics
            later = trainer.sanity_checking and str(monitor).startswith(LOGGED_BY_STEPS)
            if unknown and not later and getattr(callback, "strict", True):
                raise ValueError(
                    f"trainer.callbacks has {type(callback).__name__} with monitor {monitor}, but there is no such "
                    f"metric; choose one of {', '.join(sorted(known))}."
                )
