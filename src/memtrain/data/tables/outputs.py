"""The outputs of a table: which distribution its targets have, and what heads want to know of the training split."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from memtrain.data.tables.reference import Values
from memtrain.networks import (
    Bernoulli,
    Channel,
    Gaussian,
    Mixture,
    NegativeBinomial,
    NumberOutputs,
    OutputDescription,
    Quantiles,
    StudentT,
)

HeadName = Literal["gaussian", "student_t", "mixture", "quantiles", "negative_binomial", "bernoulli"]
UNSCALED = ("negative_binomial", "bernoulli")
"""Heads whose targets are counts and events, as they stand in the table."""
HEADS: dict[str, Any] = {
    "gaussian": Gaussian,
    "student_t": StudentT,
    "mixture": Mixture,
    "quantiles": Quantiles,
    "negative_binomial": NegativeBinomial,
    "bernoulli": Bernoulli,
}
EXTREME = 0.9
"""Quantile of the absolute values of a target above which it counts as extreme."""


def target_values(head: HeadName, channels: Sequence[Channel], values: Values) -> Values:
    """Targets as the head takes them: scaled, but counts and events as they are, `[N, C]`.

    Raises:
        ValueError: if they are no counts or events, where the head is of these.
    """
    if head not in UNSCALED:
        return np.stack([channel.scaled(values[:, i]) for i, channel in enumerate(channels)], axis=-1)
    for i, channel in enumerate(channels):
        own = values[~np.isnan(values[:, i]), i]
        wrong = own[(own < 0) | (own != np.rint(own)) | ((own > 1) & (head == "bernoulli"))]
        if len(wrong):
            what = "events, 0 or 1" if head == "bernoulli" else "counts, whole numbers from 0 on"
            raise ValueError(
                f"data.head is {head}, which is for {what}, but column {channel.name} has {wrong[0]:g}; set it to "
                "gaussian or student_t, or leave the column out of data.targets."
            )
    return values


def in_units(outputs: OutputDescription, values: Values) -> Values:
    """The inverse of `target_values`: what a head of these outputs draws, in the units of the table, `[..., C]`."""
    assert isinstance(outputs, NumberOutputs)
    if type(outputs) in (HEADS[name] for name in UNSCALED):
        return values
    return np.stack([channel.unscaled(values[..., i]) for i, channel in enumerate(outputs.channels)], axis=-1)


def outputs_of(
    head: HeadName,
    channels: list[Channel],
    training: Values,
    seasonal_errors: list[float],
    regimes: list[str],
) -> OutputDescription:
    """The description of the targets.

    Args:
        head: name of the distribution.
        channels: of the targets.
        training: targets of the training split, as `target_values` makes them, `[N, C]`.
        seasonal_errors: mean absolute error of seasonal naive in training, of each target.
        regimes: names of the regimes.
    """
    extremes = np.nanquantile(np.abs(training), EXTREME, axis=0).tolist() if head != "bernoulli" else []
    options: dict[str, Any] = {
        "channels": channels,
        "seasonal_errors": seasonal_errors if all(0 < error < np.inf for error in seasonal_errors) else [],
        "extremes": extremes if all(limit > 0 for limit in extremes) else [],
        "regimes": regimes,
    }
    means = np.nanmean(training, axis=0)
    if head == "negative_binomial":
        options["means"] = np.maximum(means, 1 / len(training)).tolist()
    if head == "bernoulli":
        least = 1 / (len(training) + 2)  # of a rate that no event of the training split shows
        options["rates"] = means.clip(least, 1 - least).tolist()
        options["seasonal_errors"] = []
    return HEADS[head](**options)
