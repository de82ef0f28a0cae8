"""The head of numbers: a distribution for each channel of a target, whichever it is."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.distributions import kl_divergence
from torch.nn import functional as F

from memtrain.batch import Targets
from memtrain.networks.channels import Channel
from memtrain.networks.distributions import Marginal
from memtrain.networks.heads.base import (
    OutputDescription,
    OutputHead,
    in_regimes,
    is_higher_better,
    require_groups,
    require_score,
)

EXTREME = "extreme"
"""Name of the group of extreme targets."""
COVERED = {"coverage_80": 0.8, "coverage_95": 0.95}
"""Metrics of central intervals: the share of targets that each should hold."""
NEVER = 2.0**-53
"""Least probability of a draw, and of none beyond it."""


@dataclass(frozen=True)
class NumberOutputs(OutputDescription):
    """Targets are C numbers, float32 `[B, T, C]`, independent of each other given the past.

    Args:
        channels: of the targets, in the order of their columns. Targets are as `Channel.scaled` makes them, but counts
            and events as they are.
        seasonal_errors: mean absolute error of the seasonal naive forecast on the training split, of each channel, in
            the targets' units: what `mase` divides by. Empty: no `mase`.
        extremes: for each channel the absolute value of a target from which it is extreme, as the 90th percentile of
            the training split; all numbers are also said of these alone. Empty: of none.
        regimes: names of the data's regimes 1, 2 and so on, in which all numbers are also said.
        score: what methods are compared by: loss, a metric, or one of these in a group, as loss_extreme or crps_storm.
    """

    channels: list[Channel]
    seasonal_errors: list[float] = field(default_factory=list)
    extremes: list[float] = field(default_factory=list)
    regimes: list[str] = field(default_factory=list)
    score: str = "loss"

    def __post_init__(self) -> None:
        """Refuse targets without channels, numbers for other channels, and a score that there is not."""
        names = [channel.name for channel in self.channels]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"channels are {names}, but must be at least one, with different names.")
        for option in ("seasonal_errors", "extremes"):
            self.require_positive(option)
        require_groups(self.groups)
        require_score(self, self.score)

    def require_positive(self, option: str) -> None:
        """Refuse a list that is neither empty nor one number above 0 for each channel."""
        values: list[float] = getattr(self, option)
        if values and (len(values) != len(self.channels) or not all(0 < value < float("inf") for value in values)):
            raise ValueError(
                f"{option} are {values}, but must be a number above 0 for each of {len(self.channels)} channels; leave "
                "them empty, or leave out a channel that never changes."
            )

    @property
    def columns(self) -> int:
        """See `OutputDescription.columns`."""
        return len(self.channels)

    @property
    def parameters(self) -> int:
        """See `OutputDescription.parameters`."""
        return len(self.channels) * self.size

    @property
    def groups(self) -> list[str]:
        """See `OutputDescription.groups`; the regimes, and the extreme targets."""
        return [*self.regimes, *([EXTREME] if self.extremes else [])]

    @property
    def metrics(self) -> Sequence[str]:
        """See `OutputDescription.metrics`; `mae` is of the median, `mase` divides it by that of seasonal naive."""
        return ("mae", "crps", *COVERED, *(["mase"] if self.seasonal_errors else []))

    def measure(self, distribution: Marginal, values: Tensor) -> dict[str, Tensor]:
        """The metrics of each target.

        Args:
            distribution: of batch shape `[..., C]`.
            values: what came, `[..., C]`.
        """
        error = (values - distribution.median).abs()
        found = {"mae": error}
        if "crps" in self.metrics:
            found["crps"] = distribution.crps(values)
        below, upto = distribution.below(values), distribution.cdf(values)
        for name, share in COVERED.items():
            if name in self.metrics:
                tail = (1 - share) / 2
                found[name] = ((upto >= tail) & (below <= 1 - tail)).to(error.dtype)
        if self.seasonal_errors:
            found["mase"] = error / error.new_tensor(self.seasonal_errors)
        return found

    @property
    @abstractmethod
    def size(self) -> int:
        """Parameters of each channel's distribution."""

    @abstractmethod
    def distribution(self, raw: Tensor) -> Marginal:
        """The distribution that parameters `[..., C, size]` stand for; for zeros that of the training split."""

    def head(self, features: int) -> "NumberHead":
        """See `OutputDescription.head`."""
        return NumberHead(features, self)

    def __str__(self) -> str:
        return f"{len(self.channels)} {'number' if len(self.channels) == 1 else 'numbers'} ({type(self).__name__})"


class NumberHead(OutputHead, nn.Linear):
    """Parameters of the distributions of C numbers; at first those of the training split, whatever the features' mean.

    All is in float32 or better, also under autocast: 8 bits of mantissa would round a prediction of 3 to 1/64.

    Args:
        features: F.
        outputs: which distributions.
    """

    def __init__(self, features: int, outputs: NumberOutputs) -> None:
        super().__init__(features, outputs.parameters)
        nn.init.zeros_(self.bias)
        self.outputs = outputs
        self.score, self.higher_is_better = outputs.score, is_higher_better(outputs.score)

    @property
    def channels(self) -> list[Channel]:
        """Of the targets; they know the data's units."""
        return self.outputs.channels

    def parameters_of(self, features: Tensor) -> Tensor:
        """See `OutputHead.parameters_of`; one linear layer."""
        kind = features.device.type
        autocast = torch.is_autocast_enabled(kind)
        with torch.autocast(kind, enabled=False) if autocast else nullcontext():
            return F.linear(features.to(self.weight.dtype), self.weight, self.bias)

    def distribution(self, parameters: Tensor) -> Marginal:
        """The distributions that parameters `[..., P]` stand for: batch shape `[..., C]`."""
        return self.outputs.distribution(precise(parameters).unflatten(-1, (self.outputs.columns, self.outputs.size)))

    def loss(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """See `OutputHead.loss`."""
        losses = self.distribution(parameters).loss(present(targets, mask))
        return losses.to(precise(parameters).dtype).masked_fill(~mask, 0.0)

    def metrics(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """See `OutputHead.metrics` and the description's `metrics`."""
        distribution, values = self.distribution(parameters), present(targets, mask)
        kind, numbers = precise(parameters).dtype, self.outputs.measure(distribution, values)
        return {name: number.to(kind).masked_fill(~mask, 0.0) for name, number in numbers.items()}

    def divergence(self, parameters: Tensor, others: Tensor) -> Tensor | None:
        """See `OutputHead.divergence`; None where torch knows no formula, as for Student's t-distributions."""
        try:
            return kl_divergence(self.distribution(parameters), self.distribution(others))
        except NotImplementedError:
            return None

    def groups(self, targets: Targets) -> dict[str, Tensor]:
        """See `OutputHead.groups`."""
        groups = in_regimes(self.outputs.regimes, targets)
        if self.outputs.extremes:
            groups[EXTREME] = targets.values.abs() >= targets.values.new_tensor(self.outputs.extremes)
        return groups

    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:
        """The quantiles of each channel.

        Args:
            parameters: `[..., P]`.
            levels: Q of them, within (0, 1).

        Returns:
            As targets are scaled, `[..., C, Q]`.
        """
        distribution = self.distribution(parameters)
        level = precise(parameters).new_tensor(levels).view(-1, *[1] * len(distribution.batch_shape))
        return distribution.icdf(level).movedim(0, -1)

    def sample(self, parameters: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """See `OutputHead.sample`; drawn on the CPU in float64: a seed gives the same numbers on every device.

        A draw is the quantile of a random level. The temperature multiplies the normal score of the level: 0 takes the
        median, 1/2 halves the spread of a normal distribution.
        """
        distribution = self.distribution(parameters.cpu().double())
        shape = distribution.batch_shape
        level = torch.rand(shape, generator=generator, dtype=torch.float64).clamp(NEVER, 1 - NEVER)
        scores = temperature * torch.special.ndtri(level)
        return distribution.icdf(torch.special.ndtr(scores)).to(precise(parameters).dtype).to(parameters.device)


def precise(tensor: Tensor) -> Tensor:
    """The tensor in float32, or float64 where it is that already."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def present(targets: Tensor, mask: Tensor) -> Tensor:
    """The targets, 0 where there is none: a number that every distribution has a finite gradient at."""
    return targets.masked_fill(~mask, 0.0)
