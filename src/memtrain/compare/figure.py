"""`comparison.png`: what each method reaches at each difficulty, and how fast."""

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from memtrain.compare.rows import read_results
from memtrain.compare.verdict import difficulty_name, experiments, metric_of, ranked

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
WIDTH, HEIGHT = 4.6, 3.8
"""Of a panel, in inches."""
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
    results = [result for directory in directories for result in read_results(directory)]
    curves = {name: read_curves(results, name, metric_of(own)) for name, own in experiments(rows)}
    methods = {name: methods_of(own, curves[name]) for name, own in experiments(rows)}
    known = dict.fromkeys(itertools.chain.from_iterable(methods.values()))
    colours = dict(zip(known, itertools.cycle(COLOURS), strict=False))
    widths = {name: panel_widths(own, curves[name]) for name, own in experiments(rows)}
    with matplotlib.rc_context(STYLE):
        size = (max(map(sum, widths.values())), HEIGHT * len(widths))
        figure = Figure(figsize=size, layout="constrained")
        parts = figure.subfigures(len(widths), 1, squeeze=False)[:, 0]
        for part, (name, own) in zip(parts, experiments(rows), strict=True):
            shown = {method: colours[method] for method in methods[name]}
            draw_experiment(part, own, curves[name], widths[name], shown)
            if len(widths) > 1:
                part.suptitle(name, x=0.01, ha="left", weight="bold")
    return figure


def methods_of(rows: pd.DataFrame, curves: pd.DataFrame) -> list[str]:
    """Methods first, the best in front, then what they were worth before their last stage, then unfinished ones."""
    names = [*ranked(rows[rows["final"]]), *ranked(rows[~rows["final"]]), *curves["method"]]
    return list(dict.fromkeys(names))


def panel_widths(rows: pd.DataFrame, curves: pd.DataFrame) -> list[float]:
    """Widths in inches: the panel of results, then one panel for each difficulty whose learning is drawn."""
    places = len(rows[["difficulty", "evaluation_difficulty"]].drop_duplicates())
    return [max(WIDTH, 1.4 * places), *(WIDTH for _ in learned_difficulties(curves))]


def learned_difficulties(curves: pd.DataFrame) -> list[float]:
    """The difficulties whose learning is drawn; NaN is that of data without any."""
    return list(curves["difficulty"].drop_duplicates().sort_values())[-CURVES:]


def draw_experiment(
    part: SubFigure, rows: pd.DataFrame, curves: pd.DataFrame, widths: list[float], colours: Mapping[str, str]
) -> None:
    """One experiment: its results, and its learning at each of the hardest difficulties."""
    metric, name = metric_of(rows), difficulty_name(rows)
    final, *learning = part.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
    draw_final(final, rows, metric, colours)
    for axes, difficulty in zip(learning, learned_difficulties(curves), strict=True):
        draw_curves(axes, curves[same(curves["difficulty"], difficulty)], metric, colours)
        axes.set_title(f"learning, {name} {difficulty:g}" if name else "learning", loc="left")
    handles = [matplotlib.lines.Line2D([], [], color=c, marker="o", label=m) for m, c in colours.items()]
    part.legend(handles=handles, loc="outside lower center", ncols=min(8, len(handles)))


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
    name = difficulty_name(rows)
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


def read_curves(results: Iterable[Mapping[str, Any]], experiment: str, metric: str) -> pd.DataFrame:
    """Validation curves of an experiment: method, difficulty (NaN: none), seed, stage, train_seconds, metric, lines."""
    curves = []
    for result in results:
        if result["experiment"] != experiment:
            continue
        table = pd.read_csv(result["folder"] / "metrics.csv")
        columns = {f"val/rollout/{metric}": metric, "cost/train_seconds": "train_seconds"}
        if not set(columns) <= set(table.columns):
            continue  # a stage without an RNN, or without validation
        curve = table[list(columns)].rename(columns=columns).dropna()
        identity = {name: result[name] for name in ("method", "seed", "stage")}
        identity["difficulty"] = float("nan") if result["difficulty"] is None else float(result["difficulty"])
        curves.append(curve.assign(**identity, **result["evaluations"][0]["reference_lines"]))
    return pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=["method", "difficulty"])


def same(column: pd.Series, value: float | None) -> pd.Series:
    """Which entries equal `value`, where nothing equals nothing."""
    return column.isna() if pd.isna(value) else column == value
