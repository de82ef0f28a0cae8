"""Scales of columns of numbers, estimated on the training split."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from memtrain.networks.channels import Channel, Role

Scaling = Literal["standard", "mean_absolute", "none"]
ROUNDING = 1e-12
"""Spread of a column that is constant but for rounding, relative to its size."""


def center_and_scale(values: NDArray[np.floating[Any]], scaling: Scaling) -> tuple[float, float]:
    """What is subtracted from a column, and what the rest is divided by.

    Args:
        values: of the training split, NaN where missing.
        scaling: standard: mean and standard deviation. mean_absolute: 0 and the mean of absolute values, which keeps 0
            where it is. none: 0 and 1.

    Returns:
        Center and scale; the scale of a column that is constant, or has no value, is 1.
    """
    found = np.asarray(values, dtype=np.float64)
    found = found[~np.isnan(found)]
    if scaling == "none" or not len(found):
        return 0.0, 1.0
    size = float(np.abs(found).mean())
    center, scale = (float(found.mean()), float(found.std())) if scaling == "standard" else (0.0, size)
    return center, scale if scale > ROUNDING * size else 1.0


def scaled_channel(
    name: str, role: Role, values: NDArray[np.floating[Any]], scaling: Scaling, asinh: bool = False
) -> Channel:
    """A channel of numbers with the scale of its training values.

    Args:
        name: of the channel.
        role: of the channel.
        values: see `center_and_scale`.
        scaling: see `center_and_scale`.
        asinh: see `Channel`.
    """
    center, scale = center_and_scale(values, scaling)
    return Channel(name, role, center=center, scale=scale, asinh=asinh)
