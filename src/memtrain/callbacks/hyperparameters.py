"""Hyperparameters: what was chosen beside what came out, a row of TensorBoard's tab HParams for each run."""

from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from memtrain.callbacks.writer import tensorboard_writer
from memtrain.training import StageModule


class Hyperparameters(Callback):
    """The options of model and data, with the last validation and what training has cost."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the row: once, and only now, because TensorBoard keeps the first that it sees."""
        writer = tensorboard_writer(trainer)
        if writer is None:
            return
        assert isinstance(pl_module, StageModule)
        options = {**pl_module.hparams, **trainer.datamodule.hparams}  # type: ignore[attr-defined]
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        costs = {f"cost/{name}": float(value) for name, value in pl_module.counters.to_primitive().items()}
        write_hyperparameters(writer, options, metrics | costs, pl_module.counters.steps)


def write_hyperparameters(
    writer: SummaryWriter, options: Mapping[str, Any], metrics: Mapping[str, float | None], step: int
) -> None:
    """Write a row of the tab HParams, and its metrics as scalars, which the tab reads them from.

    Args:
        writer: of the run.
        options: what was chosen; entries of entries get dotted names. TensorBoard takes the columns of all runs from
            one of them: those that are to be compared need the same names here, and in `metrics`.
        metrics: what came out; None: nothing of this name did.
        step: optimizer steps until then.
    """
    for summary in hparams(flat(options), dict.fromkeys(metrics, 0.0)):
        writer.file_writer.add_summary(summary)  # type: ignore[attr-defined]
    for name, value in metrics.items():
        if value is not None:
            writer.add_scalar(name, value, step)


def flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """Nested options as one level of plain values: `{"a": {"b": [1, 2]}}` as `{"a.b": "[1, 2]"}`."""
    values: dict[str, bool | int | float | str] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return values
