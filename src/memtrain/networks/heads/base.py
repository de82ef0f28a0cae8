"""What comes out of a network: the data describe their targets, and the description makes the head of each network.

A head knows the parameters of a distribution over targets, its loss, how to draw from it and how it is scored.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from memtrain.batch import Targets
from memtrain.networks.foresight import Foresight

HIGHER_IS_BETTER = ("accuracy", "macro_f1", "auprc", "recall")
"""Scores of which more is better; of all others less is."""
UNCOMPARED = ("coverage",)
"""Numbers of which neither more nor less is better."""


class Scored(NamedTuple):
    """A number of each target.

    Attributes:
        values: of any shape, 0 or False where `mask` is False.
        mask: bool, the same shape, True where the number counts.
    """

    values: Tensor
    mask: Tensor


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

    def divergence(self, parameters: Tensor, others: Tensor) -> Tensor | None:
        """`KL(p || q)` of two distributions of each target, in nats, the shape of the targets; None: not known."""
        return None

    def groups(self, targets: Targets) -> dict[str, Tensor]:
        """Which targets belong to each of the description's `groups`: bool, the shape of the targets, by name."""
        return {}

    def scores(self, parameters: Tensor, targets: Targets) -> dict[str, Scored]:
        """Loss and metrics of each target, over all of them and over each group, by the description's `names`.

        Args:
            parameters: `[B, W, P]`.
            targets: of these timesteps.
        """
        values, mask = targets.values, targets.mask
        numbers = {"loss": self.loss(parameters, values, mask), **self.metrics(parameters, values, mask)}
        scores = {name: Scored(number, mask) for name, number in numbers.items()}
        for group, members in self.groups(targets).items():
            inside = mask & members
            scores |= {
                f"{name}_{group}": Scored(number.masked_fill(~inside, 0), inside) for name, number in numbers.items()
            }
        return scores


class OutputDescription(ABC):
    """What the targets of a data set are.

    Attributes:
        of_classes: whether targets are classes, int64 without an axis C; then the loss is also said in bits.
    """

    of_classes: ClassVar[bool] = False

    @property
    @abstractmethod
    def metrics(self) -> Sequence[str]:
        """Names of the numbers that the head's `metrics` gives."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """How many parameters a head says of each timestep, P."""

    @property
    def columns(self) -> int:
        """How many numbers a target has, C; 1 for a class."""
        return 1

    @property
    def groups(self) -> Sequence[str]:
        """Names of groups of targets, as rare regimes, over which all numbers are also averaged."""
        return ()

    @property
    def names(self) -> list[str]:
        """Names of all means over targets: loss and metrics, then those of each group."""
        numbers = ["loss", *self.metrics]
        return [*numbers, *(f"{name}_{group}" for group in self.groups for name in numbers)]

    def further(self) -> MetricCollection:
        """Numbers that are no means over targets, by name; updated with parameters, targets and mask of each batch."""
        return MetricCollection({})

    @abstractmethod
    def head(self, features: int) -> OutputHead:
        """A new head on `features` features, F."""


def require_groups(groups: Sequence[str]) -> None:
    """Refuse groups without a name, or of the same name."""
    if len(set(groups)) < len(groups) or not all(groups):
        raise ValueError(f"The groups of targets are {[*groups]}, but must have different names; rename some regimes.")


def require_score(description: OutputDescription, score: str) -> None:
    """Refuse a score that methods cannot be compared by.

    Raises:
        ValueError: if the description has no such number, or one of which more is as good as less.
    """
    names = [name for name in [*description.names, *description.further()] if not name.startswith(UNCOMPARED)]
    if score not in names:
        raise ValueError(f"score is {score}, but must be one of {', '.join(names)}.")


def is_higher_better(score: str) -> bool:
    """Whether more of a score is better."""
    return score.startswith(HIGHER_IS_BETTER)


def in_regimes(regimes: Sequence[str], targets: Targets) -> dict[str, Tensor]:
    """Which targets lie in each regime: bool, the shape of the targets, by name.

    Args:
        regimes: names of regimes 1, 2 and so on.
        targets: `[B, W]` or `[B, W, C]`.

    Raises:
        ValueError: if the targets say nothing of regimes, but some are named.
    """
    if not regimes:
        return {}
    if targets.regime is None:
        raise ValueError(f"The outputs have the regimes {', '.join(regimes)}, but the batches have no regime; set it.")
    at = targets.regime if targets.values.dim() == targets.regime.dim() else targets.regime.unsqueeze(-1)
    return {name: (at == i).expand_as(targets.values) for i, name in enumerate(regimes, start=1)}
