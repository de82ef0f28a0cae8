"""`memtrain predict`: loss and accuracy of each sample as CSV."""

import csv
from pathlib import Path
from typing import IO, Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

COLUMNS = ("index", "loss", "accuracy", "targets")


class PredictionTable(Callback):
    """Writes `predictions.csv`: one row a test sample with its position, loss (nats per target), accuracy, targets.

    Args:
        directory: folder of the file; with several processes each writes a file of its own, with its rank in the name.
    """

    def __init__(self, directory: str | Path) -> None:
        self.path = Path(directory) / "predictions.csv"
        self.file: IO[str] | None = None

    @property
    def partial(self) -> Path:
        """Where rows go until all are there."""
        return self.path.with_name(f"{self.path.name}.partial")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the file and write the header."""
        self.path = trainer.strategy.broadcast(self.path)  # a folder named by the time is another in each process
        if trainer.world_size > 1:
            self.path = self.path.with_name(f"predictions-{trainer.global_rank}.csv")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = self.partial.open("w", newline="")
        csv.writer(self.file).writerow(COLUMNS)

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], *_: Any
    ) -> None:
        """Write the rows of a batch."""
        assert self.file is not None
        rows = zip(*(outputs[column].tolist() for column in COLUMNS), strict=True)
        # A negative index marks rows that only fill up the last batch of a process.
        csv.writer(self.file).writerows(row for row in rows if row[0] >= 0)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the file and say where it is."""
        assert self.file is not None
        self.file.close()
        self.partial.replace(self.path)
        if trainer.is_global_zero:
            print(f"Predictions: {self.path}")
