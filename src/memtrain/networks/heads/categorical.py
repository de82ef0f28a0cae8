"""The head of classes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MetricCollection

from memtrain.batch import Targets
from memtrain.limits import require_at_least
from memtrain.networks.heads.base import (
    OutputDescription,
    OutputHead,
    in_regimes,
    is_higher_better,
    require_groups,
    require_score,
)
from memtrain.networks.heads.detection import MacroF1
from memtrain.objectives.losses import cross_entropy

Score = Literal["accuracy", "loss"]


class CategoricalHead(OutputHead, nn.Linear):
    """Logits of V classes.

    Args:
        features: F.
        classes: V.
        score: see `Categorical`.
        regimes: see `Categorical`.
    """

    def __init__(self, features: int, classes: int, score: str, regimes: Sequence[str] = ()) -> None:
        super().__init__(features, classes)
        self.score, self.higher_is_better, self.regimes = score, is_higher_better(score), regimes

    def parameters_of(self, features: Tensor) -> Tensor:
        """See `OutputHead.parameters_of`; one linear layer."""
        return F.linear(features, self.weight, self.bias)

    def loss(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """See `OutputHead.loss`; cross-entropy."""
        return cross_entropy(parameters, targets, mask)

    def metrics(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """See `OutputHead.metrics`; `accuracy`: whether the likeliest class is the target."""
        return {"accuracy": (parameters.argmax(-1) == targets) & mask}

    def divergence(self, parameters: Tensor, others: Tensor) -> Tensor:
        """See `OutputHead.divergence`; exact."""
        precise = torch.promote_types(parameters.dtype, torch.float32)
        own, other = parameters.log_softmax(-1, precise), others.log_softmax(-1, precise)
        return (own.exp() * (own - other)).sum(-1)

    def groups(self, targets: Targets) -> dict[str, Tensor]:
        """See `OutputHead.groups`; the regimes."""
        return in_regimes(self.regimes, targets)

    def sample(self, parameters: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """See `OutputHead.sample`; drawn on the CPU in float64: a seed gives the same tokens on every device."""
        if temperature == 0:
            return parameters.argmax(-1)
        exact = parameters.cpu().double()
        relative = exact - exact.amax(-1, keepdim=True)  # no overflow at low temperatures
        odds = (relative / temperature).softmax(-1)
        return torch.multinomial(odds, 1, generator=generator).squeeze(1).to(parameters.device)


@dataclass(frozen=True)
class Categorical(OutputDescription):
    """Targets are one of several classes, int64 `[B, T]`.

    Args:
        classes: number of classes, V.
        score: what methods are compared by: accuracy where every target can be known, loss (nats per target) where
            targets are random, as in text, or another number that is logged, as macro_f1 or loss_storm.
        regimes: names of the data's regimes 1, 2 and so on, in which loss and accuracy are also said.
        macro_f1: log the F1 of each class, averaged over classes, too: where some are rare.
    """

    of_classes: ClassVar[bool] = True
    classes: int
    score: str = "accuracy"
    regimes: list[str] = field(default_factory=list)
    macro_f1: bool = False

    def __post_init__(self) -> None:
        """Refuse an output without classes, and a score that it does not have."""
        require_at_least("classes", self.classes, 1, example=256)
        require_groups(self.regimes)
        require_score(self, self.score)

    @property
    def metrics(self) -> tuple[str, ...]:
        """See `OutputDescription.metrics`."""
        return ("accuracy",)

    @property
    def groups(self) -> list[str]:
        """See `OutputDescription.groups`."""
        return self.regimes

    @property
    def parameters(self) -> int:
        """See `OutputDescription.parameters`; a logit for each class."""
        return self.classes

    def further(self) -> MetricCollection:
        """See `OutputDescription.further`; the F1, where it is wanted."""
        return MetricCollection({"macro_f1": MacroF1(self.classes)} if self.macro_f1 else {})

    def head(self, features: int) -> CategoricalHead:
        """See `OutputDescription.head`."""
        return CategoricalHead(features, self.classes, self.score, self.regimes)

    def __str__(self) -> str:
        return f"{self.classes} classes"
