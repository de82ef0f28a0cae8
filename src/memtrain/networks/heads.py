"""What comes out of a network: the data describe their targets, and the description makes the head of each network.

A head knows the parameters of a distribution over targets, its loss, how to draw from it and how it is scored.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memtrain.limits import require_at_least
from memtrain.networks.foresight import Foresight
from memtrain.objectives.losses import cross_entropy


class OutputHead(nn.Module, ABC):
    """Maps features to the parameters of a distribution over targets: one class, or C numbers.

    Attributes:
        score: name of the number by which methods are compared: `loss` or a key of `metrics`.
        higher_is_better: whether a larger score is the better one.
        foresight: brings in what is known ahead; None where nothing is.
    """

    score: str
    higher_is_better: bool

    def __init__(self, *sizes: Any) -> None:
        super().__init__(*sizes)
        self.foresight: Foresight | None = None

    def forward(self, features: Tensor, ahead: Tensor | None = None) -> Tensor:
        """Features of `m_t` `[..., F]`, and `u_{t+1}` `[..., U]` where any is known, to parameters `[..., P]`."""
        if self.foresight is not None:
            features = self.foresight(features, ahead)
        return self.parameters_of(features)

    @abstractmethod
    def parameters_of(self, features: Tensor) -> Tensor:
        """Features `[..., F]` to parameters `[..., P]`."""

    @abstractmethod
    def loss(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """Negative log-likelihood of each target, in nats; 0 where there is none.

        Args:
            parameters: `[..., P]`.
            targets: `[...]`, or C numbers `[..., C]`; any valid value where there is no target.
            mask: bool, the shape of `targets`, True where there is a target.

        Returns:
            The shape of `targets`, float32 or better.
        """

    @abstractmethod
    def metrics(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Further numbers of each target, whose means over the valid targets are logged.

        Args:
            parameters: `[..., P]`.
            targets: as for `loss`.
            mask: as for `loss`.

        Returns:
            The shape of `targets` each, by name; 0 or False where there is no target.
        """

    @abstractmethod
    def sample(self, parameters: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Draw one target for each row.

        Args:
            parameters: `[B, P]`.
            temperature: 1 draws from the distribution, 0 takes its mode.
            generator: a CPU generator; None: torch's global one.

        Returns:
            `[B]`, or C numbers `[B, C]`.
        """


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


class CategoricalHead(OutputHead, nn.Linear):
    """Logits of V classes.

    Args:
        features: F.
        classes: V.
        score: see `Categorical`.
    """

    def __init__(self, features: int, classes: int, score: Score) -> None:
        super().__init__(features, classes)
        self.score, self.higher_is_better = score, score == "accuracy"

    def parameters_of(self, features: Tensor) -> Tensor:
        """See `OutputHead.parameters_of`; one linear layer."""
        return F.linear(features, self.weight, self.bias)

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
