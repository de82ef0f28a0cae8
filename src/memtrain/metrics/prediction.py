"""Prediction: loss and scores of a model's outputs, weighted by valid targets."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric


class Prediction(Metric):
    """Means per valid target; exact for uneven batches and over ranks.

    `compute` returns a dictionary: `loss` in nats per valid target, `bits` = loss / ln 2, and the mean of each further
    number of the head (for tokens: `accuracy`); all are NaN where no target was seen.

    Args:
        names: of the head's further numbers.
    """

    full_state_update = False
    loss_sum: Tensor
    valid: Tensor

    def __init__(self, names: tuple[str, ...] = ("accuracy",)) -> None:
        super().__init__()
        self.names = names
        self.add_state("loss_sum", torch.tensor(0.0), dist_reduce_fx="sum")
        for name in names:
            self.add_state(f"{name}_sum", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("valid", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, losses: Tensor, numbers: Mapping[str, Tensor], mask: Tensor) -> None:
        """Take in a batch.

        Args:
            losses: nats of each target, `[...]`, 0 where there is none.
            numbers: the head's further numbers, `[...]` each, likewise.
            mask: bool `[...]`, True where there is a target.
        """
        self.loss_sum += losses.detach().sum()
        for name in self.names:
            setattr(self, f"{name}_sum", getattr(self, f"{name}_sum") + numbers[name].detach().sum())
        self.valid += mask.sum()

    def compute(self) -> dict[str, Tensor]:
        """The numbers of the class's docstring."""
        loss = self.loss_sum / self.valid
        means = {name: getattr(self, f"{name}_sum") / self.valid for name in self.names}
        return {"loss": loss, "bits": loss / math.log(2), **means}
