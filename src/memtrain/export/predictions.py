"""Predictions as JSON-like primitives, in the data's units: what the parameters of each kind of head say."""

import math
from functools import singledispatch
from typing import Any

import numpy as np
from torch import Tensor

from memtrain.data.tables.outputs import in_units
from memtrain.networks import Bernoulli, Channel, NumberHead, OutputHead
from memtrain.networks.heads import CategoricalHead
from memtrain.networks.heads.several import SeveralHead

LEVELS = (0.1, 0.5, 0.9)
"""Of the quantiles that are written; 0.5 is the median."""
DIGITS = 6
"""Of a probability, and of a number in units of its channel's scale."""


@singledispatch
def prediction(head: OutputHead, parameters: Tensor, top: int) -> dict[str, Any]:
    """What is expected of one target.

    A new kind of head registers its own: `prediction.register`.

    Args:
        head: of the target.
        parameters: float64 `[P]`.
        top: likeliest classes that are said.

    Returns:
        Of classes `top`: the likeliest, each with its probability. Of numbers `targets`: by channel, the quantiles of
        `LEVELS`, and the mean where the channel's scale is linear; of events the probability. Of several parts `parts`:
        the same of each. None stands for what is beyond all numbers.

    Raises:
        ValueError: for a kind that nothing is registered for.
    """
    raise ValueError(
        f"The model has a {type(head).__name__}, whose predictions nobody writes; register it with "
        "memtrain.export.prediction."
    )


@prediction.register
def _(head: CategoricalHead, parameters: Tensor, top: int) -> dict[str, Any]:
    probabilities, classes = parameters.softmax(-1).topk(min(top, len(parameters)))
    ranked = zip(classes.tolist(), probabilities.tolist(), strict=True)
    return {"top": [[number, round(probability, DIGITS)] for number, probability in ranked]}


@prediction.register
def _(head: NumberHead, parameters: Tensor, top: int) -> dict[str, Any]:
    distribution, outputs = head.distribution(parameters), head.outputs
    means = distribution.mean
    if isinstance(outputs, Bernoulli):
        named = zip(outputs.channels, means.tolist(), strict=True)
        return {"targets": {channel.name: {"probability": round(share, DIGITS)} for channel, share in named}}
    with np.errstate(over="ignore"):
        quantiles = in_units(outputs, head.quantiles(parameters, LEVELS).T.numpy()).T  # [C, Q]
        expected = in_units(outputs, means.numpy())
    return {
        "targets": {
            channel.name: {
                **({} if channel.asinh else {"mean": rounded(channel, mean)}),
                **{f"{level:g}": rounded(channel, value) for level, value in zip(LEVELS, values, strict=True)},
            }
            for channel, mean, values in zip(outputs.channels, expected.tolist(), quantiles.tolist(), strict=True)
        }
    }


@prediction.register
def _(head: SeveralHead, parameters: Tensor, top: int) -> dict[str, Any]:
    return {"parts": {place.name: prediction(own, parameters[place.parameters], top) for place, own in head.parts}}


def rounded(channel: Channel, value: float) -> float | None:
    """A number as exactly as float32 knows it, against the channel's scale; None where it is beyond all numbers."""
    return round(value, DIGITS - math.floor(math.log10(channel.scale))) if math.isfinite(value) else None
