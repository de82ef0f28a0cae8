"""`metrics.csv`: what a run has logged, whole at any moment."""

import csv
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from memtrain.files import write_table

SECONDS_BETWEEN_WRITES = 5.0
"""Of the table of metrics, where no checkpoint asks for it."""


class MetricsTable(Logger):
    """Logs to a csv file: one row a logged step, one column a metric, empty where a step has no value.

    Lightning's CSVLogger deletes the file of the run that it continues; this one keeps it up to the checkpoint.

    Args:
        directory: folder of the run.
        table: the file's name: metrics of a training, validate or test where a checkpoint is read.

    Attributes:
        step: the optimizer step that trains, the first of a run being 0. It names the row, since Lightning's own
            count goes on one off after some resumes. None: nothing trains.
    """

    def __init__(self, directory: str | Path, table: str = "metrics") -> None:
        super().__init__()
        self.path = Path(directory) / f"{table}.csv"
        self.step: int | None = None
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
        """Take over the rows that an earlier part of this run has logged before optimizer step `step`.

        Raises:
            ValueError: if the file has been changed, as by a spreadsheet, into something else.
        """
        self.rows = []
        if step > 0 and self.path.exists():
            try:
                # A spreadsheet may have put a byte order mark in front.
                with self.path.open(newline="", encoding="utf-8-sig") as file:
                    read = [(int(row["step"]), row) for row in csv.DictReader(file)]
            except (ValueError, KeyError, csv.Error) as error:
                raise ValueError(
                    f"{self.path} is not as the run has written it, a CSV file with a column step of whole numbers; "
                    "bring it back, or remove it to go on without its rows."
                ) from error
            self.rows = [row | {"step": number} for number, row in read if number < step]

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add to the row of the step, all but the epoch, which stays 0; Lightning calls `save` after it."""
        step = step if self.step is None else self.step
        if not self.rows or self.rows[-1]["step"] != step:
            self.rows.append({"step": step})
        self.rows[-1].update({name: value for name, value in metrics.items() if name != "epoch"})

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
    def cover_checkpoint(self) -> None:
        """Write the rows before a checkpoint; its own step's row comes next, and is written at once."""
        self.write()
        self.saved = -math.inf

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what the last checkpoint did not cover."""
        self.write()
