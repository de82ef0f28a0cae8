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
    valid: Tensor

    def __init__(self, names: tuple[str, ...] = ("accuracy",)) -> None:
        super().__init__()
        self.names = ("loss", *names)
        for name in self.names:
            self.add_state(f"{name}_sum", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("valid", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, numbers: Mapping[str, Tensor], mask: Tensor) -> None:
        """Take in a batch.

        Args:
            numbers: by name, `loss` (nats) and the head's further numbers of each target, `[...]`, 0 where there is
                none.
            mask: bool `[...]`, True where there is a target.
        """
        for name in self.names:
            getattr(self, f"{name}_sum").add_(numbers[name].detach().sum())
        self.valid += mask.sum()

    def compute(self) -> dict[str, Tensor]:
        """The numbers of the class's docstring."""
        means = {name: getattr(self, f"{name}_sum") / self.valid for name in self.names}
        return {"loss": means["loss"], "bits": means["loss"] / math.log(2), **means}
