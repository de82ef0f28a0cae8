"""Prediction: loss and scores of a model's outputs, weighted by valid targets."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from memtrain.networks.heads import Scored


class Prediction(Metric):
    """Means per valid target; exact for uneven batches and over ranks.

    `compute` returns a dictionary: `loss` in nats per valid target, `bits` = loss / ln 2 where asked for, and the mean
    of each further number of the head (for tokens: `accuracy`). All are NaN where no target was seen; otherwise numbers
    of a group without targets are left out.

    Args:
        names: of all numbers, `loss` first.
        bits: whether the loss is also said in bits.
    """

    full_state_update = False

    def __init__(self, names: Sequence[str] = ("loss", "accuracy"), bits: bool = True) -> None:
        super().__init__()
        self.names, self.bits = names, bits
        for name in self.names:
            self.add_state(f"{name}_sum", torch.tensor(0.0), dist_reduce_fx="sum")
            self.add_state(f"{name}_count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, scores: Mapping[str, Scored]) -> None:
        """Take in a batch.

        Args:
            scores: by name, `loss` (nats) and the head's further numbers of each target.
        """
        for name in self.names:
            values, mask = scores[name]
            getattr(self, f"{name}_sum").add_(values.detach().sum())
            getattr(self, f"{name}_count").add_(mask.sum())

    def compute(self) -> dict[str, Tensor]:
        """The numbers of the class's docstring."""
        counts: dict[str, Tensor] = {name: getattr(self, f"{name}_count") for name in self.names}
        seen = [name for name, count in counts.items() if count > 0 or counts["loss"] == 0]
        means = {name: getattr(self, f"{name}_sum") / counts[name] for name in seen}
        bits = {"bits": means["loss"] / math.log(2)} if self.bits else {}
        return {"loss": means["loss"], **bits, **means}
