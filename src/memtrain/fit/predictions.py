"""`memtrain predict`: loss and scores of each sample as CSV."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from memtrain.files import write_table


class PredictionTable(Callback):
    """Writes `predictions.csv`: one row a test sample with its position, loss (nats per target), scores, targets.

    Args:
        directory: folder of the file; with several processes each writes a file of its own, with its rank in the name.
    """

    def __init__(self, directory: str | Path) -> None:
        self.path = Path(directory) / "predictions.csv"
        self.rows: list[dict[str, float]] = []

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Decide where the file will be."""
        self.path = trainer.strategy.broadcast(self.path)  # a folder named by the time is another in each process
        if trainer.world_size > 1:
            self.path = self.path.with_name(f"predictions-{trainer.global_rank}.csv")

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], *_: Any
    ) -> None:
        """Keep the rows of a batch."""
        columns = ["index", *(name for name in outputs if name != "index")]
        rows = zip(*(outputs[column].tolist() for column in columns), strict=True)
        # A negative index marks rows that only fill up the last batch of a process.
        self.rows += [dict(zip(columns, row, strict=True)) for row in rows if row[0] >= 0]

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file and say where it is."""
        write_table(self.path, self.rows)
        if trainer.is_global_zero:
            print(f"Predictions: {self.path}")
