"""Prediction: loss and accuracy of logits, weighted by valid targets."""

import math

import torch
from torch import Tensor
from torchmetrics import Metric

from memtrain.batch import IGNORE_INDEX
from memtrain.objectives.losses import cross_entropy


class Prediction(Metric):
    """Loss, bits and accuracy per valid target; exact for uneven batches and over ranks.

    `compute` returns a dictionary: `loss` in nats per valid target, `bits` = loss / ln 2, `accuracy`;
    all are NaN where no target was seen.
    """

    full_state_update = False
    loss_sum: Tensor
    correct: Tensor
    valid: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("loss_sum", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("correct", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("valid", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Take in a batch.

        Args:
            logits: `[..., V]`.
            targets: int64 `[...]`, `IGNORE_INDEX` where there is no target.
        """
        self.loss_sum += cross_entropy(logits.detach(), targets).sum()
        self.correct += (logits.argmax(-1) == targets).sum()  # never true where the target is IGNORE_INDEX
        self.valid += (targets != IGNORE_INDEX).sum()

    def compute(self) -> dict[str, Tensor]:
        """The three numbers of the class's docstring."""
        loss = self.loss_sum / self.valid
        return {"loss": loss, "bits": loss / math.log(2), "accuracy": self.correct / self.valid}
