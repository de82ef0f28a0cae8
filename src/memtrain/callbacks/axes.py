"""Axes: validation curves against what they cost, so that methods can be compared at equal cost."""

from collections.abc import Sequence
from typing import Any

from lightning import Callback, LightningModule, Trainer

from memtrain.callbacks.writer import tensorboard_writer
from memtrain.training import StageModule
from memtrain.training.evaluated import EvaluatedModule

COSTS = {
    "by_steps": "steps",
    "by_tokens": "tokens",
    "by_seconds": "train_seconds",
    "by_sequential_flops": "sequential_flops",
}
"""TensorBoard folder -> the counter that is its axis."""


def title(axis: str) -> str:
    """`by_sequential_flops` as "by sequential FLOPs"."""
    return axis.replace("_", " ").replace("flops", "FLOPs")


def layout(metrics: Sequence[str]) -> dict[str, dict[str, list[Any]]]:
    """TensorBoard's tab "Custom Scalars", with a panel for each of the metrics and axes."""
    return {
        "who is ahead, at what cost?": {
            f"{metric} of the RNN alone, or of a baseline, {title(axis)}": [
                "Multiline",
                [f"{axis}/val/rollout/{metric}", f"{axis}/val/model/{metric}"],
            ]
            for metric in metrics
            for axis in COSTS
        },
        "how good is the teacher?": {
            f"{metric} of the teacher, {title(axis)}": ["Multiline", [f"{axis}/val/teacher/{metric}"]]
            for metric in metrics
            for axis in COSTS
        },
        "does the RNN stay with its teacher?": {
            f"relative drift, {title(axis)}": ["Multiline", [f"{axis}/val/drift/relative"]] for axis in COSTS
        },
    }


def panels_of(module: EvaluatedModule) -> list[str]:
    """The metrics that have panels: accuracy where there are classes, the score, the loss."""
    (*_, model) = module.models.values()
    classes = ["accuracy"] if module.interface.outputs.of_classes else []
    return [*dict.fromkeys([*classes, model.head.score, "loss"])]


class Axes(Callback):
    """Copies of the `val` metrics under `by_steps/`, `by_tokens/`, `by_seconds/` and `by_sequential_flops/`.

    TensorBoard's step of a copy is that counter, cumulative over stages, so that SMT -> DMT is one line and
    any two runs can be compared at equal cost.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lay the tab "Custom Scalars" out."""
        if writer := tensorboard_writer(trainer):
            assert isinstance(pl_module, EvaluatedModule)
            writer.add_custom_scalars(layout(panels_of(pl_module)))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the copies."""
        writer = tensorboard_writer(trainer)
        if writer is None:
            return
        assert isinstance(pl_module, StageModule)
        for name, value in trainer.callback_metrics.items():
            if name.startswith("val/"):
                for axis, counter in COSTS.items():
                    writer.add_scalar(f"{axis}/{name}", value, int(getattr(pl_module.counters, counter)))
