"""The TensorBoard events of a run, or of all stages of a method on one line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only


class Timeline(TensorBoardLogger):
    """Logs to TensorBoard, where the stages of a method are one line: steps count on from the stage before.

    It leaves out what `memtrain.callbacks.Axes` and `Hyperparameters` write in a form that can be compared.

    Args:
        directory: folder of the events.
        before: optimizer steps of the stages before.

    Attributes:
        step: the optimizer step that trains, as of `MetricsTable`.
    """

    def __init__(self, directory: str | Path, before: int) -> None:
        super().__init__(directory, name="", version="", default_hp_metric=False)
        self.directory, self.before = str(directory), before
        self.step: int | None = None

    @property
    def log_dir(self) -> str:
        """The folder of the events, by its very name: Lightning would put variables of the environment in for `$x`."""
        return self.directory

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log all but validations, their costs, and the epoch, which stays 0."""
        shown = {k: v for k, v in metrics.items() if k != "epoch" and not k.startswith(("val/", "cost/"))}
        step = step if self.step is None else self.step
        super().log_metrics(shown, None if step is None else step + self.before)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing, as nothing has come out yet."""

    @rank_zero_only
    def save(self) -> None:
        """Write what is held back; `config.yaml` stands for the options."""
        self.experiment.flush()
