"""The distributions that a head of numbers may have."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import torch
from torch import Tensor
from torch import distributions as torch_distributions
from torch.nn import functional as F
from torchmetrics import MetricCollection

from memtrain.limits import require_at_least
from memtrain.networks import distributions
from memtrain.networks.distributions import Marginal
from memtrain.networks.heads.detection import AveragePrecision, RecallAtFalseAlarmRate
from memtrain.networks.heads.numbers import NumberOutputs

SCALE_FLOOR = 1e-3
"""Least scale of a density, in scaled units: a thousandth of a channel's spread in training."""
COUNT_FLOOR = 1e-4
"""Least mean of a count, as a share of its mean in training, and least dispersion `total_count`."""
LEAST_DEGREES, FIRST_DEGREES = 2.0, 5.0
"""Degrees of freedom of Student's t-distribution: a bound, above which the variance is finite, and the first value."""


def positive(raw: Tensor, first: float = 1.0, floor: float = 0.0) -> Tensor:
    """Numbers above `floor`, `first` for 0; linear where they are large, so that no step is far too long."""
    return floor + F.softplus(raw + math.log(math.expm1(first - floor)))


@dataclass(frozen=True)
class Gaussian(NumberOutputs):
    """Targets have normal distributions: mean and scale; scale at least `SCALE_FLOOR`.

    Args:
        channels: see `NumberOutputs`, here and for the options that follow.
    """

    @property
    def size(self) -> int:
        """See `NumberOutputs.size`."""
        return 2

    def distribution(self, raw: Tensor) -> Marginal:
        """See `NumberOutputs.distribution`."""
        mean, scale = raw.unbind(-1)
        return distributions.Normal(mean, positive(scale, floor=SCALE_FLOOR), validate_args=False)


@dataclass(frozen=True)
class StudentT(NumberOutputs):
    """Targets have Student's t-distributions, whose tails are heavy: degrees of freedom, location and scale."""

    @property
    def size(self) -> int:
        """See `NumberOutputs.size`."""
        return 3

    def distribution(self, raw: Tensor) -> Marginal:
        """See `NumberOutputs.distribution`."""
        degrees, location, scale = raw.unbind(-1)
        degrees = positive(degrees, FIRST_DEGREES, LEAST_DEGREES)
        return distributions.StudentT(degrees, location, positive(scale, floor=SCALE_FLOOR), validate_args=False)


@dataclass(frozen=True)
class Mixture(NumberOutputs):
    """Targets have mixtures of normal or of Student's t-distributions, for several peaks.

    Args:
        components: of each mixture, K.
        heavy_tails: Student's t-distributions instead of normal ones; their mixtures have no closed form of the CRPS,
            so that `crps` is not logged.
    """

    components: int = 3
    heavy_tails: bool = False

    def __post_init__(self) -> None:
        """Refuse a mixture of nothing."""
        require_at_least("components", self.components, 1, example=3)
        super().__post_init__()

    @property
    def metrics(self) -> Sequence[str]:
        """See `NumberOutputs.metrics`."""
        return tuple(name for name in super().metrics if not (self.heavy_tails and name == "crps"))

    @property
    def size(self) -> int:
        """See `NumberOutputs.size`."""
        return self.components * (4 if self.heavy_tails else 3)

    def distribution(self, raw: Tensor) -> Marginal:
        """See `NumberOutputs.distribution`; zeros: mean 0, variance 1, peaks at normal quantiles."""
        weights, location, scale, *degrees = raw.unflatten(-1, (self.components, -1)).unbind(-1)
        middles = [NormalDist().inv_cdf((k + 0.5) / self.components) for k in range(self.components)]
        spread = math.sqrt(1 - sum(middle**2 for middle in middles) / self.components)
        location = location + raw.new_tensor(middles)
        scale = positive(scale, spread, SCALE_FLOOR)
        if degrees:
            heavy = positive(degrees[0], FIRST_DEGREES, LEAST_DEGREES)
            parts: Marginal = distributions.StudentT(heavy, location, scale, validate_args=False)
        else:
            parts = distributions.Normal(location, scale, validate_args=False)
        chosen = torch_distributions.Categorical(logits=weights, validate_args=False)
        return distributions.Mixture(chosen, parts, validate_args=False)


@dataclass(frozen=True)
class NegativeBinomial(NumberOutputs):
    """Targets are counts, not scaled, with negative binomial distributions: mean and dispersion.

    Args:
        means: of each channel's counts on the training split, which a mean is a multiple of. Empty: each channel's
            center, or where that is not above 0 its scale.
    """

    means: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse counts without a mean."""
        self.require_positive("means")
        super().__post_init__()

    @property
    def size(self) -> int:
        """See `NumberOutputs.size`."""
        return 2

    def distribution(self, raw: Tensor) -> Marginal:
        """See `NumberOutputs.distribution`.

        In float64 where the device has it: the log-likelihood of large counts is a small difference of large numbers.
        """
        raw = raw if raw.device.type == "mps" else raw.double()
        typical = [channel.center if channel.center > 0 else channel.scale for channel in self.channels]
        share, dispersion = positive(raw, floor=COUNT_FLOOR).unbind(-1)
        mean = raw.new_tensor(self.means or typical) * share
        logits = mean.log() - dispersion.log()
        return distributions.NegativeBinomial(dispersion, logits=logits, validate_args=False)


@dataclass(frozen=True)
class Bernoulli(NumberOutputs):
    """Targets are events, 0 or 1: the log-odds of each.

    It is also a discrete hazard, the probability that an awaited event happens now if it has not happened yet, where
    targets are masked after the event; the losses of a sequence then sum up to the one of the event's time.

    Args:
        rates: of each channel's events on the training split, within (0, 1). Empty: 1/2.
        false_alarm_rate: share of targets without event that may give alarm, for the metric `recall`.
    """

    rates: list[float] = field(default_factory=list)
    false_alarm_rate: float = 0.01

    def __post_init__(self) -> None:
        """Refuse rates that are no probabilities."""
        self.require_positive("rates")
        for option, values in {"rates": self.rates, "false_alarm_rate": [self.false_alarm_rate]}.items():
            if not all(0 < value < 1 for value in values):
                raise ValueError(f"{option} is {values}, but must be between 0 and 1; choose for example 0.01.")
        super().__post_init__()

    @property
    def metrics(self) -> Sequence[str]:
        """See `OutputDescription.metrics`; `brier` is `(p - y)^2`."""
        return ("brier",)

    def measure(self, distribution: Marginal, values: Tensor) -> dict[str, Tensor]:
        """See `NumberOutputs.measure`."""
        return {"brier": distribution.crps(values)}

    def further(self) -> MetricCollection:
        """See `OutputDescription.further`; `auprc`, and `recall` at the rate of false alarms."""
        count = len(self.channels)
        return MetricCollection(
            {"auprc": AveragePrecision(count), "recall": RecallAtFalseAlarmRate(count, self.false_alarm_rate)}
        )

    @property
    def size(self) -> int:
        """See `NumberOutputs.size`."""
        return 1

    def distribution(self, raw: Tensor) -> Marginal:
        """See `NumberOutputs.distribution`."""
        rates = raw.new_tensor(self.rates or [0.5] * len(self.channels))
        return distributions.Bernoulli(logits=raw.squeeze(-1) + torch.logit(rates), validate_args=False)
