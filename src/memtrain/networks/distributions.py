"""Distributions of one number: torch's own, with the ranks, quantiles and CRPS that torch lacks.

Log densities are torch's and have gradients. The rest is for evaluation and for draws: it comes from scipy and
scoringrules, in float64 on the CPU, and has none.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scoringrules
import torch
from scipy import special, stats
from torch import Tensor
from torch import distributions as torch_distributions
from torch.distributions import Distribution

BISECTIONS = 40
"""Halvings of the interval between the components' quantiles that holds a mixture's: to 1e-12 of its length."""


class Marginal(Distribution):
    """What a head asks of the distribution of one number, batch shape `[..., C]`, beside what torch's have.

    Values and levels broadcast to the batch shape, with any sizes before it.
    """

    def loss(self, value: Tensor) -> Tensor:
        """What training makes small: negative log-likelihood, in nats."""
        return -self.log_prob(value)

    @property
    def median(self) -> Tensor:
        """The smallest number with half of the probability at or below it."""
        return self.icdf(torch.full((), 0.5, dtype=torch.float64))

    def below(self, value: Tensor) -> Tensor:
        """The probability of less than this value; for a density that of no more than it."""
        return self.cdf(value)

    def crps(self, value: Tensor) -> Tensor:
        """Continuous ranked probability score: `integral of (P(Y <= x) - 1[x >= value])^2 dx`; the smaller the better.

        Source: Gneiting & Raftery 2007, Eq. 20. It has the value's unit, and is the absolute error of a forecast
        without spread.
        """
        raise NotImplementedError


def exactly(function: Callable[..., Any], first: Tensor, *others: Tensor) -> Tensor:
    """A function of float64 arrays, applied to tensors: the result has the first one's type and device."""
    arrays = [np.asarray(tensor.detach().cpu().double()) for tensor in (first, *others)]
    return torch.as_tensor(np.asarray(function(*arrays))).to(first.dtype).to(first.device)


class Normal(torch_distributions.Normal, Marginal):
    """The normal distribution."""

    def crps(self, value: Tensor) -> Tensor:
        """See `Marginal.crps`."""
        return exactly(lambda m, s, y: scoringrules.crps_normal(y, m, s), self.loc, self.scale, value)


class StudentT(torch_distributions.StudentT, Marginal):
    """Student's t-distribution, moved and scaled; more than 1 degree of freedom."""

    df: Tensor
    loc: Tensor
    scale: Tensor

    @property
    def median(self) -> Tensor:
        """See `Marginal.median`; the distribution is symmetric."""
        return self.loc

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of no more than this value."""
        return exactly(lambda m, s, n, y: special.stdtr(n, (y - m) / s), self.loc, self.scale, self.df, value)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantiles of these levels."""
        return exactly(lambda m, s, n, p: m + s * special.stdtrit(n, p), self.loc, self.scale, self.df, value)

    def crps(self, value: Tensor) -> Tensor:
        """See `Marginal.crps`."""
        return exactly(lambda m, s, n, y: scoringrules.crps_t(y, n, m, s), self.loc, self.scale, self.df, value)


class NegativeBinomial(torch_distributions.NegativeBinomial, Marginal):
    """The negative binomial distribution of counts: mean `total_count exp(logits)`."""

    logits: Tensor
    total_count: Tensor

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of no more than this count."""
        return self._exactly(lambda p, n, k: stats.nbinom.cdf(k, n, p), value)

    def below(self, value: Tensor) -> Tensor:
        """See `Marginal.below`."""
        return self.cdf(value - 1)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantiles of these levels: counts."""
        return self._exactly(lambda p, n, q: stats.nbinom.ppf(q, n, p), value)

    def crps(self, value: Tensor) -> Tensor:
        """See `Marginal.crps`."""
        return self._exactly(lambda p, n, k: scoringrules.crps_negbinom(k, n, p), value)

    def _exactly(self, function: Callable[..., Any], value: Tensor) -> Tensor:
        """A function of scipy's probability, which is of the other outcome than torch's, of `total_count` and value."""
        return exactly(lambda odds, n, x: function(special.expit(-odds), n, x), self.logits, self.total_count, value)


class Bernoulli(torch_distributions.Bernoulli, Marginal):
    """The distribution of an event: 1 with probability `probs`, otherwise 0."""

    probs: Tensor

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of no more than this value."""
        return torch.where(value < 0, 0.0, torch.where(value < 1, 1 - self.probs, 1.0))

    def below(self, value: Tensor) -> Tensor:
        """See `Marginal.below`."""
        return self.cdf(value - 1)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantiles of these levels: 0 or 1."""
        return (value.to(self.probs.device) > 1 - self.probs).to(self.probs.dtype)

    def crps(self, value: Tensor) -> Tensor:
        """See `Marginal.crps`; of an event it is Brier's score, `(p - y)^2`."""
        return (self.probs - value).square()


class Mixture(torch_distributions.MixtureSameFamily, Marginal):
    """A mixture of K normal or Student's t-distributions, the components' batch shape `[..., C, K]`."""

    def icdf(self, value: Tensor) -> Tensor:
        """The quantiles of these levels, by bisection between the components' own."""
        shape = torch.broadcast_shapes(value.shape, self.batch_shape)
        level = value.to(self.component_distribution.mean).expand(shape)
        own = self.component_distribution.icdf(level.unsqueeze(-1))
        low, high = own.amin(-1), own.amax(-1)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            beyond = self.cdf(middle) < level
            low, high = torch.where(beyond, middle, low), torch.where(beyond, high, middle)
        return high

    def crps(self, value: Tensor) -> Tensor:
        """See `Marginal.crps`; a closed form exists for normal components alone."""
        parts, weights = self.component_distribution, self.mixture_distribution.probs
        assert isinstance(parts, Normal)
        return exactly(lambda m, s, w, y: scoringrules.crps_mixnorm(y, m, s, w), parts.loc, parts.scale, weights, value)


class Quantiles(Marginal):
    """A distribution known by its quantiles: linear between them, and nothing beyond the outermost.

    Args:
        levels: ascending, within (0, 1), `[Q]`.
        values: the quantiles of these levels, ascending, `[..., C, Q]`.
    """

    arg_constraints = {}  # noqa: RUF012  # as torch's own have it

    def __init__(self, levels: Tensor, values: Tensor) -> None:
        super().__init__(values.shape[:-1], validate_args=False)
        self.levels, self.values = levels.to(values), values

    @property
    def mean(self) -> Tensor:
        """Of the quantiles, each with the probability nearer to its level than to others'."""
        return (self.values * self._shares()).sum(-1)

    def loss(self, value: Tensor) -> Tensor:
        """What training makes small; it is no likelihood, for there is no density: the score `crps`."""
        return self.crps(value)

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of no more than this value; 0 below the lowest quantile, 1 above the highest."""
        inside = between(value, self.values, self.levels.expand_as(self.values))
        outside = torch.where(value < self.values[..., 0], 0.0, 1.0)
        return torch.where((value < self.values[..., 0]) | (value > self.values[..., -1]), outside, inside)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantiles of these levels; beyond the outermost levels those of the outermost."""
        return between(value, self.levels.expand_as(self.values), self.values)

    def crps(self, value: Tensor) -> Tensor:
        """Twice the pinball loss, averaged over levels by the probability that each stands for; with gradients.

        With ever more levels it becomes the CRPS (Gneiting & Ranjan 2011, Eq. 4).
        """
        error = value.unsqueeze(-1) - self.values
        pinball = torch.maximum(self.levels * error, (self.levels - 1) * error)
        return 2 * (pinball * self._shares()).sum(-1)

    def _shares(self) -> Tensor:
        """The probability nearest to each level, `[Q]`: from the middle to the level before to that to the next."""
        ends = self.levels.new_tensor([0.0, 1.0])
        middles = (self.levels[1:] + self.levels[:-1]) / 2
        return torch.cat([ends[:1], middles, ends[1:]]).diff()


def between(x: Tensor, places: Tensor, heights: Tensor) -> Tensor:
    """Heights at x, linear between the given places and constant beyond.

    Args:
        x: broadcasts to `[..., C]`, with any sizes before.
        places: ascending, `[..., C, Q]`.
        heights: there, `[..., C, Q]`.
    """
    shape = torch.broadcast_shapes(x.shape, places.shape[:-1])
    x = x.to(places).expand(shape).unsqueeze(-1)
    places, heights = places.expand(*shape, -1).contiguous(), heights.expand(*shape, -1)
    if places.shape[-1] == 1:
        return heights.squeeze(-1)
    above = torch.searchsorted(places, x.contiguous()).clamp(1, places.shape[-1] - 1)
    left, right = places.gather(-1, above - 1), places.gather(-1, above)
    share = ((x - left) / (right - left)).clamp(0, 1)
    return torch.lerp(heights.gather(-1, above - 1), heights.gather(-1, above), share).squeeze(-1)
