"""What comes out of a network: the data describe their targets, and the description makes the head of each network.

A head knows the parameters of a distribution over targets, its loss, how to draw from it and how it is scored.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from memtrain.limits import require_at_least
from memtrain.objectives.losses import cross_entropy


class OutputHead(nn.Module, ABC):
    """Maps features to the parameters of a distribution over one target.

    Attributes:
        score: name of the number by which methods are compared: `loss` or a key of `metrics`.
        higher_is_better: whether a larger score is the better one.
    """

    score: str
    higher_is_better: bool

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Features `[..., F]` to parameters `[..., P]`."""

    @abstractmethod
    def loss(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """Negative log-likelihood of each target, in nats; 0 where there is none.

        Args:
            parameters: `[..., P]`.
            targets: `[...]`; any valid value where there is no target.
            mask: bool `[...]`, True where there is a target.

        Returns:
            `[...]`, float32 or better.
        """

    @abstractmethod
    def metrics(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Further numbers of each target, whose means over the valid targets are logged.

        Args:
            parameters: `[..., P]`.
            targets: `[...]`.
            mask: bool `[...]`.

        Returns:
            `[...]` each, by name; 0 or False where there is no target.
        """

    @abstractmethod
    def sample(self, parameters: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Draw one target for each row.

        Args:
            parameters: `[B, P]`.
            temperature: 1 draws from the distribution, 0 takes its mode.
            generator: a CPU generator; None: torch's global one.

        Returns:
            `[B]`.
        """

    def divergence(self, parameters: Tensor, others: Tensor) -> Tensor | None:
        """`KL(p || q)` of two distributions, from parameters `[..., P]`, in nats `[...]`; None: not known."""
        return None


class OutputDescription(ABC):
    """What the targets of a data set are.

    Attributes:
        metrics: names of the numbers that the head's `metrics` gives.
    """

    metrics: ClassVar[tuple[str, ...]]

    @abstractmethod
    def head(self, features: int) -> OutputHead:
        """A new head on `features` features, F."""


Score = Literal["accuracy", "loss"]


class CategoricalHead(nn.Linear, OutputHead):
    """Logits of V classes.

    Args:
        features: F.
        classes: V.
        score: see `Categorical`.
    """

    def __init__(self, features: int, classes: int, score: Score) -> None:
        super().__init__(features, classes)
        self.score, self.higher_is_better = score, score == "accuracy"

    def loss(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """See `OutputHead.loss`; cross-entropy."""
        return cross_entropy(parameters, targets, mask)

    def metrics(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """See `OutputHead.metrics`; `accuracy`: whether the likeliest class is the target."""
        return {"accuracy": (parameters.argmax(-1) == targets) & mask}

    def sample(self, parameters: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """See `OutputHead.sample`; drawn on the CPU in float64: a seed gives the same tokens on every device."""
        if temperature == 0:
            return parameters.argmax(-1)
        exact = parameters.cpu().double()
        relative = exact - exact.amax(-1, keepdim=True)  # no overflow at low temperatures
        odds = (relative / temperature).softmax(-1)
        return torch.multinomial(odds, 1, generator=generator).squeeze(1).to(parameters.device)

    def divergence(self, parameters: Tensor, others: Tensor) -> Tensor:
        """See `OutputHead.divergence`; exact."""
        precise = torch.promote_types(parameters.dtype, torch.float32)
        own, other = parameters.log_softmax(-1, precise), others.log_softmax(-1, precise)
        return (own.exp() * (own - other)).sum(-1)


@dataclass(frozen=True)
class Categorical(OutputDescription):
    """Targets are one of several classes, int64 `[B, T]`.

    Args:
        classes: number of classes, V.
        score: what methods are compared by: accuracy where every target can be known, loss (nats per target) where
            targets are random, as in text.
    """

    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)
    classes: int
    score: Score = "accuracy"

    def __post_init__(self) -> None:
        """Refuse an output without classes."""
        require_at_least("classes", self.classes, 1, example=256)

    def head(self, features: int) -> CategoricalHead:
        """See `OutputDescription.head`."""
        return CategoricalHead(features, self.classes, self.score)

    def __str__(self) -> str:
        return f"{self.classes} classes"
