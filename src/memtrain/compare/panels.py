"""The panels of a comparison's figure: what methods reach, and how they get there."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from memtrain.compare.estimates import SEEDS_OF_AN_INTERVAL, interquartile_mean, interval
from memtrain.compare.queries import difficulty_name, kind_of, same, with_kinds
from memtrain.style import GRAY, LineStyle, Look

REFERENCES: dict[str, dict[str, LineStyle]] = {
    "accuracy": {"chance": ":", "shortcut_accuracy": "-.", "best_possible": "--"},
    "loss": {"unigram_entropy": ":", "bigram_entropy": "--", "memoryless_loss": ":", "best_possible_loss": "--"},
    "crps": {"last_value_mae": ":", "seasonal_naive_mae": "--"},  # the absolute error is the CRPS of a single number
    "mae": {"last_value_mae": ":", "seasonal_naive_mae": "--"},
}
"""Lines of each score; of a score in a group, as loss_rare, those of the same group."""
COSTS = {
    "train_seconds": "training seconds (|: a stage ends)",
    "sequential_flops": "sequential FLOPs per sample",
}
"""Costs along the panels of learning, counted over all stages, and their labels."""
MARKERS = ("^", "s", "D", "v", "P", "X")
"""Of readings on the way."""
RUN = ["difficulty", "evaluation_difficulty", "seed"]
"""Columns that, with the method, name a run and where it is read."""
SEEDS_OF_A_MIDDLE = 3
"""Seeds of a method of which the middle one is drawn strong, at least."""
BAR = 0.9
"""Part of a method's place that its bar fills."""


def drawn_with(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the `kind` of each reading on the way; see `memtrain.compare.queries.with_kinds`.

    Where there are more kinds than markers, stages are told by their number.
    """
    rows = with_kinds(rows)
    if rows.loc[rows["kind"] != "", "kind"].nunique() <= len(MARKERS):
        return rows
    stages = rows[rows["compared"] & ~rows["final"]]
    numbers = stages.groupby(["method", *RUN], dropna=False)["optimizer_steps"].rank(method="dense")
    named = "after stage " + numbers.astype("Int64").astype(str)
    return rows.assign(kind=rows["kind"].where(~rows.index.isin(stages.index), named))


def markers_of(rows: pd.DataFrame) -> dict[str, str]:
    """A marker for each kind of reading on the way, given rows of `drawn_with`."""
    kinds = rows.loc[rows["kind"] != "", "kind"].drop_duplicates()
    return dict(zip(kinds, itertools.cycle(MARKERS), strict=False))


def draw_results(axes: Axes, rows: pd.DataFrame, metric: str, looks: Mapping[str, Look]) -> None:
    """Every seed as a point, a method's interquartile mean as a bar, side by side at each pair of difficulties.

    From three seeds on, a line at the right of the bar is the interval of that mean. A reading on the way is a hollow
    point in the method's place, right of the middle.

    Args:
        axes: the panel.
        rows: an experiment's rows, of `drawn_with`.
        metric: the column that is drawn.
        looks: of the methods, in their order from left to right.
    """
    keys = ["difficulty", "evaluation_difficulty"]
    places = rows[keys].drop_duplicates().sort_values(keys)
    markers = markers_of(rows)
    width = 0.8 / len(looks)
    for position, (difficulty, evaluated) in enumerate(places.itertuples(index=False)):
        here = rows[same(rows["difficulty"], difficulty) & same(rows["evaluation_difficulty"], evaluated)]
        for offset, (method, look) in enumerate(looks.items()):
            x = position + (offset - (len(looks) - 1) / 2) * width
            own = here[here["method"] == method]
            own = own[np.isfinite(own[metric])]  # a point that is nowhere, not clipped, would shift the layout
            values = own.loc[own["kind"] == "", metric].to_numpy(dtype=float)
            if len(values):
                middle = interquartile_mean(values)
                axes.bar(x, middle, width * BAR, color=look.color, alpha=0.25, hatch=look.hatch)
                beside = x - width / 6 if own["kind"].any() else x
                axes.plot([beside] * len(values), values, "o", color=look.color, markersize=4, clip_on=False)
                ends = interval(values)
                if ends is not None:
                    axes.vlines(x + width / 3, *ends, color=look.color, linewidth=1)
            for kind, group in own[own["kind"] != ""].groupby("kind", sort=False):
                hollow: dict[str, Any] = {"linestyle": "", "markerfacecolor": "none", "markersize": 4, "clip_on": False}
                right = [x + width / 5] * len(group)
                axes.plot(right, group[metric], color=look.color, marker=markers[str(kind)], **hollow)
        for line, (label, style) in reference_lines(here, metric).items():
            axes.hlines(line, position - 0.45, position + 0.45, color=GRAY, linestyles=style, linewidth=1)
            if position == len(places) - 1:
                end = (position + 0.47, line)
                axes.annotate(label, end, fontsize=7, color=GRAY, va="center", annotation_clip=False)
    name = difficulty_name(rows)
    ticks = [
        "" if pd.isna(d) else f"{name} {d:g}" if d == e else f"{name} {e:g}\ntrained at {d:g}"
        for d, e in places.itertuples(index=False)
    ]
    axes.set_xticks(range(len(places)), ticks)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="x", visible=False)
    axes.set_ylabel(f"{metric} on the test split{unit(metric)}")
    if metric == "accuracy":
        axes.set_ylim(0, 1.05)
    seeds = rows[rows["final"]].groupby(["method", *keys], dropna=False)["seed"].nunique()
    lines = ";\nlines: its 95 % bootstrap interval" if seeds.max() >= SEEDS_OF_AN_INTERVAL else ""
    axes.set_title(f"points: seeds; bars: their interquartile mean{lines}", loc="left")


def unit(metric: str) -> str:
    """The unit of a score, in the labels of axes."""
    return " (nats per target)" if kind_of(metric) == "loss" else ""


def reference_lines(rows: pd.DataFrame, metric: str) -> dict[float, tuple[str, LineStyle]]:
    """Heights of the lines to draw, with label and line style; equal ones share a label."""
    lines: dict[float, tuple[str, LineStyle]] = {}
    kind, *group = metric.split("_", maxsplit=1)
    for line, style in REFERENCES.get(kind, {}).items():
        name = "_".join([line, *group])
        if name in rows and rows[name].notna().any():
            height, label = float(rows[name].mean()), name.replace("_", " ")
            lines[height] = (f"{lines[height][0]},\n{label}", lines[height][1]) if height in lines else (label, style)
    return lines


def draw_learning(axes: Axes, curves: pd.DataFrame, cost: str, metric: str, looks: Mapping[str, Look]) -> None:
    """The validation metric against a cost, one line a seed; stages follow one another on one line.

    Of three seeds or more the middle one, by the mean of its curve, is drawn strong and the others faint.

    Args:
        axes: the panel.
        curves: validation points of one experiment and difficulty; see `memtrain.compare.curves`.
        cost: the column along the panel.
        metric: the column up the panel.
        looks: of the methods.
    """
    curves = curves.dropna(subset=[cost, metric])
    for method, own in curves.groupby("method", sort=False):
        look = looks[str(method)]
        means = own.groupby("seed")[metric].mean().sort_values(kind="stable")
        strong = means.index if len(means) < SEEDS_OF_A_MIDDLE else means.index[[len(means) // 2]]
        for seed, curve in own.groupby("seed"):
            curve = curve.sort_values(cost, kind="stable")
            width, alpha = (1.5, 0.9) if seed in strong else (0.7, 0.5)
            axes.plot(curve[cost], curve[metric], look.line, color=look.color, linewidth=width, alpha=alpha)
            # where one stage hands over to the next
            handed = curve[curve["stage"] != curve["stage"].shift(-1)].iloc[:-1]
            axes.plot(handed[cost], handed[metric], "|", color=look.color, markersize=8)
    axes.set_xlabel(COSTS[cost])
    if cost == "sequential_flops":
        axes.set_xscale("log")
        known = curves.loc[curves[cost] > 0, cost]
        narrow = len(known) > 0 and known.max() < 30 * known.min()  # a decade alone would have a label or two
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if narrow else (1,), numticks=6))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_minor_formatter(NullFormatter())
    if metric == "accuracy":
        axes.set_ylim(0, 1.05)
