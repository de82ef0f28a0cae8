"""`comparison.png`: what each method reaches at each difficulty, and how fast."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memtrain.compare.rows import read_results
from memtrain.compare.verdict import metric_of

STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "legend.frameon": False,
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")
"""Okabe and Ito's palette, told apart by colour-blind eyes too."""
GREY = "#555555"
CURVES = 3
"""Difficulties whose learning curves are drawn, the hardest."""
LineStyle = Literal[":", "-.", "--"]
REFERENCES: dict[str, dict[str, LineStyle]] = {
    "accuracy": {"chance": ":", "shortcut_accuracy": "-.", "best_possible": "--"},
    "loss": {"unigram_entropy": ":", "bigram_entropy": "--"},
}
LABELS = {"accuracy": "accuracy on the test split", "loss": "loss on the test split (nats per target)"}


def draw(rows: pd.DataFrame, directories: Iterable[Path]) -> Figure:
    """The figure of a comparison.

    Args:
        rows: see `memtrain.compare.rows`.
        directories: where the runs' `metrics.csv` are.
    """
    metric = metric_of(rows)
    curves = pd.concat([read_curves(directory, metric) for directory in directories], ignore_index=True)
    unfinished = list(curves["method"].unique()) if len(curves) else []
    colours = dict(zip(dict.fromkeys([*methods_in_order(rows), *unfinished]), COLOURS * len(rows), strict=False))
    difficulties = list(curves["difficulty"].drop_duplicates().sort_values())[-CURVES:] if len(curves) else []
    places = len(rows[["difficulty", "evaluation_difficulty"]].drop_duplicates())
    widths = [max(4.6, 1.4 * places), *(4.6 for _ in difficulties)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(sum(widths), 3.8), layout="constrained")
        final, *learning = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
        draw_final(final, rows, metric, colours)
        for axes, difficulty in zip(learning, difficulties, strict=True):
            draw_curves(axes, curves[curves["difficulty"] == difficulty], metric, colours)
            name = rows["difficulty_name"].iloc[0]
            axes.set_title(f"learning, {name} {difficulty}" if name else "learning", loc="left")
        handles = [matplotlib.lines.Line2D([], [], color=c, marker="o", label=m) for m, c in colours.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(8, len(handles)))
    return figure


def methods_in_order(rows: pd.DataFrame) -> list[str]:
    """Methods first, the best in front, then what they were worth before their last stage."""
    metric = metric_of(rows)
    means = rows.groupby(["final", "method"])[metric].mean().reset_index()
    return list(means.sort_values(["final", metric], ascending=[False, metric == "loss"])["method"])


def draw_final(axes: Axes, rows: pd.DataFrame, metric: str, colours: Mapping[str, str]) -> None:
    """Every seed as a point, the mean of a method as a bar, side by side at each pair of difficulties."""
    keys = ["difficulty", "evaluation_difficulty"]
    places = rows[keys].drop_duplicates().sort_values(keys)
    width = 0.8 / len(colours)
    for position, (difficulty, evaluated) in enumerate(places.itertuples(index=False)):
        here = rows[same(rows["difficulty"], difficulty) & same(rows["evaluation_difficulty"], evaluated)]
        for offset, (method, colour) in enumerate(colours.items()):
            values = here.loc[here["method"] == method, metric]
            if len(values):
                x = position + (offset - (len(colours) - 1) / 2) * width
                axes.bar(x, values.mean(), width * 0.9, color=colour, alpha=0.25)
                axes.plot([x] * len(values), values, "o", color=colour, markersize=4, clip_on=False)
        for line, (label, style) in reference_lines(here, metric).items():
            axes.hlines(line, position - 0.45, position + 0.45, color=GREY, linestyles=style, linewidth=1)
            if position == len(places) - 1:
                beside = (position + 0.47, line)
                axes.annotate(label, beside, fontsize=7, color=GREY, va="center", annotation_clip=False)
    name = rows["difficulty_name"].iloc[0] or ""
    ticks = [
        "" if pd.isna(d) else f"{name} {d:g}" if d == e else f"{name} {e:g}\ntrained at {d:g}"
        for d, e in places.itertuples(index=False)
    ]
    axes.set_xticks(range(len(places)), ticks)
    axes.grid(axis="x", visible=False)
    axes.set_ylabel(LABELS[metric])
    if metric == "accuracy":
        axes.set_ylim(0, 1.05)
    axes.set_title("each point one seed, bars their mean", loc="left")


def reference_lines(rows: pd.DataFrame, metric: str) -> dict[float, tuple[str, LineStyle]]:
    """Heights of the lines to draw, with label and line style; equal ones share a label."""
    lines: dict[float, tuple[str, LineStyle]] = {}
    for name, style in REFERENCES[metric].items():
        if name in rows and rows[name].notna().any():
            height, label = float(rows[name].mean()), name.replace("_", " ")
            lines[height] = (f"{lines[height][0]},\n{label}", lines[height][1]) if height in lines else (label, style)
    return lines


def draw_curves(axes: Axes, curves: pd.DataFrame, metric: str, colours: Mapping[str, str]) -> None:
    """The RNN's validation metric against training seconds, one line a seed; stages follow one another on one line."""
    for (method, _), curve in curves.groupby(["method", "seed"], sort=False):
        curve = curve.sort_values("train_seconds")
        axes.plot(curve["train_seconds"], curve[metric], color=colours[method], linewidth=1.4, alpha=0.85)
        # where one stage hands over to the next
        handed = curve[curve["stage"] != curve["stage"].shift(-1)].iloc[:-1]
        axes.plot(handed["train_seconds"], handed[metric], "|", color=colours[method], markersize=10)
    for line, (_, style) in reference_lines(curves, metric).items():
        axes.axhline(line, color=GREY, linestyle=style, linewidth=1)
    axes.set_xlabel("training seconds, all stages (a tick where one ends)")
    axes.set_ylabel(f"validation {metric}" + (" (nats per target)" if metric == "loss" else ""))
    if metric == "accuracy":
        axes.set_ylim(0, 1.05)


def read_curves(directory: Path, metric: str) -> pd.DataFrame:
    """Validation curves of all runs: method, difficulty, seed, stage, train_seconds, the metric, reference lines."""
    curves = []
    for result in read_results(directory):
        difficulty = "any" if result["difficulty"] is None else str(result["difficulty"])
        path = directory / result["method"] / difficulty / str(result["seed"]) / result["stage"] / "metrics.csv"
        table = pd.read_csv(path)
        columns = {f"val/rollout/{metric}": metric, "cost/train_seconds": "train_seconds"}
        if not set(columns) <= set(table.columns):
            continue  # a stage without an RNN, or without validation
        curve = table[list(columns)].rename(columns=columns).dropna()
        identity = {name: result[name] for name in ("method", "difficulty", "seed", "stage")}
        curves.append(curve.assign(**identity, **result["evaluations"][0]["reference_lines"]))
    return pd.concat(curves, ignore_index=True) if curves else pd.DataFrame()


def same(column: pd.Series, value: float | None) -> pd.Series:
    """Which entries equal `value`, where nothing equals nothing."""
    return column.isna() if pd.isna(value) else column == value
