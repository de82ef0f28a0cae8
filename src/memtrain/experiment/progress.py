"""How far a run is: a small file that its process writes and the launcher draws."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from memtrain.experiment.evaluation import models_of
from memtrain.files import write_json
from memtrain.results import LOGGED
from memtrain.training import StageModule

SECONDS_BETWEEN_REPORTS = 0.5


class ProgressFile:
    """Writes how much of a run's budget is used up.

    Args:
        path: the file: `fraction` in [0, 1], `stage` and `message`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.finished = 0.0
        self.reported = 0.0

    @rank_zero_only
    def report(self, stage: str, message: str, fraction: float = 0.0) -> None:
        """Say what is going on.

        Args:
            stage: name of the stage.
            message: what it is doing.
            fraction: part of the run's budget that this stage has used.
        """
        write_json(self.path, {"fraction": self.finished + fraction, "stage": stage, "message": message})
        self.reported = time.monotonic()

    def finish(self, share: float) -> None:
        """A stage with this share of the budget is done."""
        self.finished += share

    def callback(self, stage: str, share: float, steps: int) -> Callback:
        """A callback that reports while a stage of so many steps trains."""
        return ReportProgress(self, stage, share, steps)


class ReportProgress(Callback):
    """Reports to a progress file, at most twice a second."""

    def __init__(self, file: ProgressFile, stage: str, share: float, steps: int) -> None:
        self.file, self.stage, self.share, self.steps = file, stage, share, steps

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Report step and the best known metric."""
        if time.monotonic() - self.file.reported < SECONDS_BETWEEN_REPORTS:
            return
        assert isinstance(pl_module, StageModule)
        reading, model = [*models_of(pl_module)][-1], [*pl_module.models.values()][-1]
        names = "accuracy", model.head.score, "loss"  # what is worth a glance, the best first
        shown = [*(f"val/{LOGGED.get(reading, reading)}/{name}" for name in names), "train/loss"]
        known = [name for name in shown if name in trainer.callback_metrics]
        metric = f", {known[0]} {trainer.callback_metrics[known[0]]:.3f}" if known else ""
        fraction = self.share * trainer.global_step / self.steps
        self.file.report(self.stage, f"step {trainer.global_step} of {self.steps}{metric}", fraction)
