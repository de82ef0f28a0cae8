"""What is known of targets without training: the last value, that a season before, and one distribution for all."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
"""Targets `[N, C]`, NaN where missing."""


def last_observed(values: Values, firsts: NDArray[np.int64]) -> Values:
    """The last value up to each row of its series, NaN before the first.

    Args:
        values: `[N, C]`.
        firsts: the first row of each row's series, `[N]`.
    """
    rows = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, rows), axis=0)
    found = np.take_along_axis(values, last.clip(min=0), axis=0)
    return np.where(last >= firsts[:, None], found, np.nan)


def naive(values: Values, firsts: NDArray[np.int64], season: int) -> Values:
    """What stood `season` rows before each row, or last before that where it is missing; NaN where nothing did.

    Args:
        values: `[N, C]`.
        firsts: the first row of each row's series, `[N]`.
        season: 1 gives the last value.
    """
    rows = np.arange(len(values)) - season
    before = last_observed(values, firsts)[rows.clip(min=0)]
    return np.where((rows >= firsts)[:, None], before, np.nan)


def mean_error(predictions: Values, values: Values, rows: NDArray[np.bool_]) -> list[float]:
    """Mean absolute error of each target in some rows, over those that are known and predicted; NaN where none is.

    Args:
        predictions: `[N, C]`.
        values: `[N, C]`.
        rows: which count, bool `[N]`.
    """
    errors = np.abs(predictions - values)[rows]
    known = ~np.isnan(errors)
    sums, counts = np.where(known, errors, 0).sum(0), known.sum(0)
    return [float(total / count) if count else float("nan") for total, count in zip(sums, counts, strict=True)]


def mean_error_of_all(predictions: Values, values: Values, rows: NDArray[np.bool_]) -> float:
    """As `mean_error`, over all targets together."""
    (error,) = mean_error(predictions.reshape(-1, 1), values.reshape(-1, 1), np.repeat(rows, values.shape[1]))
    return error


def gaussian_loss(train: Values, test: Values) -> float:
    """Loss, nats per target, of the normal distribution that fits each target in training, on the test split."""
    mean, scale = np.nanmean(train, axis=0), np.nanstd(train, axis=0)
    losses = 0.5 * np.log(2 * np.pi * scale**2) + (test - mean) ** 2 / (2 * scale**2)
    return float(np.nanmean(losses))


def event_loss(train: Values, test: Values) -> float:
    """Loss, nats per target, of events with the rates that they have in training, on the test split."""
    rates = np.nanmean(train, axis=0)
    return float(np.nanmean(np.where(np.isnan(test), np.nan, -np.log(np.where(test > 0, rates, 1 - rates)))))
