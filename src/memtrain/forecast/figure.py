"""The figure of a forecast: history, median and bands of each series and target."""

import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from memtrain.forecast.future import Future
from memtrain.style import COLORS, GRAY, STYLE

MOST_PANELS = 12
SHOWN = 3
"""Rows of history for each row of forecast."""


def draw_forecast(
    future: Future, targets: Sequence[str], paths: NDArray[np.float64], levels: Sequence[float]
) -> Figure:
    """A panel for each series and target, the first `MOST_PANELS` of them.

    Args:
        future: the series.
        targets: names of what is forecast.
        paths: `[S, samples, H, targets]`.
        levels: of the quantiles between which bands lie, in order.
    """
    panels = [(series, target) for series in range(len(paths)) for target in range(len(targets))]
    if len(panels) > MOST_PANELS:
        warnings.warn(
            f"The figure shows {MOST_PANELS} of {len(panels)} series and targets; a .csv has all.", stacklevel=2
        )
    panels = panels[:MOST_PANELS]
    with rc_context(STYLE):
        figure = Figure(figsize=(7, 2.2 * len(panels)))
        all_axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, (series, target) in zip(all_axes, panels, strict=True):
            draw_panel(axes, future, series, targets[target], paths[series, :, :, target], levels)
            axes.set_title(f"{future.rows.series[series]}: {targets[target]}", loc="left")
        all_axes[0].legend(loc="upper left")
        figure.tight_layout()
    return figure


def draw_panel(
    axes: Axes, future: Future, series: int, target: str, paths: NDArray[np.float64], levels: Sequence[float]
) -> None:
    """History in gray, the median, and a band between each pair of levels; `paths` are `[samples, H]`."""
    begin, observed = int(future.rows.starts[series]), int(future.lengths[series])
    first = max(0, observed - max(SHOWN * future.horizon, 30))
    past = slice(begin + first, begin + observed)
    axes.plot(future.rows.times[past], future.rows.columns[target][past], color=GRAY, linewidth=1, label="observed")
    times, color = future.times(series), COLORS[0]
    pairs = [(low, high) for low, high in zip(levels, reversed(levels), strict=True) if low < high]
    for n, (low, high) in enumerate(pairs):
        bounds = np.quantile(paths, [low, high], axis=0)
        label = f"{100 * (high - low):g} %"
        axes.fill_between(times, *bounds, color=color, alpha=0.15 + 0.15 * n, linewidth=0, label=label)
    axes.plot(times, np.median(paths, axis=0), color=color, linewidth=1.5, label="median")
