"""What a method reaches over its seeds: interquartile mean, its bootstrap interval, and the probability of improvement.

As in Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
"""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.float64]
"""One number a seed, `[S]`."""
TRIMMED = 0.25
"""Part of the seeds that the interquartile mean leaves out on each side."""
CONFIDENCE = 0.95
RESAMPLES = 9_999
SEEDS_OF_AN_INTERVAL = 3
"""Seeds below which a bootstrap interval would say nothing."""


def interquartile_mean(values: Values, axis: int = -1) -> Any:
    """Mean of the middle half of the seeds: of 5 the middle 3, of 10 the middle 6, of 3 or fewer all.

    Args:
        values: `[..., S]`.
        axis: of the seeds.
    """
    return stats.trim_mean(values, TRIMMED, axis=axis)


def interval(values: Values) -> tuple[float, float] | None:
    """The 95 % percentile bootstrap interval of the interquartile mean, from a fixed seed.

    The bootstrap is stratified: the seeds of one method at one difficulty are drawn from one another, never from those
    of another method or difficulty.

    Args:
        values: `[S]`, of one method at one difficulty.

    Returns:
        Low and high end; None with fewer than `SEEDS_OF_AN_INTERVAL` seeds.
    """
    if len(values) < SEEDS_OF_AN_INTERVAL:
        return None
    found = stats.bootstrap(
        (values,),
        interquartile_mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def probability_of_improvement(first: Values, second: Values) -> float:
    """P(X > Y): how often a seed of the first is above a seed of the second, ties counted half.

    Args:
        first: `[S]`.
        second: `[S']`, of as many or other seeds.
    """
    signs = np.sign(first[:, None] - second[None, :])
    return float(cast(np.float64, (signs.mean() + 1) / 2))
