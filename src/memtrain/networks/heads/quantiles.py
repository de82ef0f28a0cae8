"""Quantiles: a forecast without any shape of a distribution."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import torch
from torch import Tensor
from torch.nn import functional as F

from memtrain.networks import distributions
from memtrain.networks.distributions import Marginal
from memtrain.networks.heads.numbers import COVERED, NumberOutputs


@dataclass(frozen=True)
class Quantiles(NumberOutputs):
    """Targets are known by quantiles, trained by the pinball loss: the CRPS up to the distance of levels, not nats.

    Quantiles never cross: the one nearest to the median is a parameter, and the others are above and below it by sums
    of softplus.

    Args:
        levels: of the quantiles, ascending, within (0, 1). A forecast knows nothing beyond the outermost, and the
            coverage of an interval is said where its ends are within them.
        score: see `NumberOutputs`; crps, which the loss is here, in place of loss, which has the unit nats elsewhere.
    """

    score: str = "crps"
    levels: list[float] = field(default_factory=lambda: [0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975])

    def __post_init__(self) -> None:
        """Refuse levels that are no probabilities in order, and a score in nats."""
        inside = all(0 < level < 1 for level in self.levels)
        if not self.levels or not inside or sorted(set(self.levels)) != self.levels:
            raise ValueError(f"levels are {self.levels}, but must ascend between 0 and 1, as 0.1, 0.5, 0.9.")
        super().__post_init__()
        if self.score.split("_")[0] == "loss":
            raise ValueError(f"score is {self.score}, but quantiles have no likelihood; set it to crps.")

    @property
    def metrics(self) -> Sequence[str]:
        """See `NumberOutputs.metrics`; no coverage of intervals that reach beyond the levels."""
        reach = 1 - 2 * max(self.levels[0], 1 - self.levels[-1])
        return tuple(name for name in super().metrics if COVERED.get(name, 0) <= reach + 1e-9)

    @property
    def size(self) -> int:
        """See `NumberOutputs.size`."""
        return len(self.levels)

    def distribution(self, raw: Tensor) -> Marginal:
        """See `NumberOutputs.distribution`; zeros: the quantiles of the standard normal distribution."""
        levels, normal = self.levels, raw.new_tensor([NormalDist().inv_cdf(level) for level in self.levels])
        middle = min(range(len(levels)), key=lambda i: abs(levels[i] - 0.5))
        gaps = F.softplus(raw[..., 1:] + normal.diff().expm1().log())
        heights = torch.cat([torch.zeros_like(raw[..., :1]), gaps.cumsum(-1)], dim=-1)
        center = raw[..., :1] + normal[middle]
        values = center + heights - heights[..., middle : middle + 1]
        return distributions.Quantiles(raw.new_tensor(levels), values)
