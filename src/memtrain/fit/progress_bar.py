"""The progress bar of a run: optimizer steps of `max_steps`, their rate, and the time that is left."""

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

SECONDS_BETWEEN_METRICS = 0.25


class Rate(ProgressColumn):
    """Steps or batches a second, of this process: what a run that continues has done before does not count."""

    def render(self, task: Task) -> Text:
        """`12.5/s`, empty before the second."""
        return Text("" if not task.speed else f"{task.speed:.3g}/s")


class StepBar(ProgressBar):
    """One line in a terminal, and nothing in a file.

    Args:
        console: to draw on; None: this process's.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self.console = console or Console()
        self.enabled = True
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.shown = 0.0

    def enable(self) -> None:
        """Draw."""
        self.enabled = True

    def disable(self) -> None:
        """Do not draw."""
        self.enabled = False

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print above the line."""
        self.console.print(*map(str, args), markup=False, highlight=False)

    def open(self, unit: str, total: int | float, done: int = 0) -> None:
        """Begin a line of `total` steps or batches, of which some are done."""
        self.close()
        columns = (
            TextColumn("{task.description} {task.completed:.0f} of {task.total:.0f}"),
            BarColumn(),
            Rate(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}", markup=False),
        )
        self.bar = Progress(*columns, console=self.console, disable=not (self.enabled and self.console.is_terminal))
        self.task = self.bar.add_task(unit, total=total, completed=done, metrics="")
        self.bar.start()

    def advance(self, done: int, metrics: dict[str, Any] | None = None) -> None:
        """Show how much is done, and now and then the metrics, whose reading waits for a GPU."""
        if self.bar is None:
            return
        self.bar.update(self.task, completed=done)
        if metrics and time.monotonic() - self.shown >= SECONDS_BETWEEN_METRICS:
            text = ", ".join(f"{name} {float(value):.4g}" for name, value in metrics.items())
            self.bar.update(self.task, metrics=text)
            self.shown = time.monotonic()

    def close(self) -> None:
        """End the line."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin at the step that the run stands at."""
        self.open("step", trainer.max_steps, trainer.global_step)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Another step."""
        self.advance(trainer.global_step, trainer.progress_bar_metrics)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        self.open("test batch", sum(trainer.num_test_batches))

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        self.open("batch", sum(trainer.num_predict_batches))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin where validation is all there is to do; within training, the line stands still."""
        if self.bar is None and not trainer.sanity_checking:
            self.open("validation batch", sum(trainer.num_val_batches))

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Another batch."""
        if trainer.state.fn == "validate":
            self.advance(batch_idx + 1)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Another batch."""
        self.advance(batch_idx + 1)

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Another batch."""
        self.advance(batch_idx + 1)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        self.close()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the terminal as it was."""
        self.close()
