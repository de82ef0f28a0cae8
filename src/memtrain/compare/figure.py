"""`comparison.png`: what each method reaches at each difficulty, and how fast; drawn from the two tables alone."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib
import pandas as pd
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from memtrain.compare.panels import (
    COSTS,
    SEEDS_OF_A_MIDDLE,
    draw_learning,
    draw_results,
    drawn_with,
    markers_of,
    reference_lines,
    unit,
)
from memtrain.compare.queries import difficulty_name, experiments, ranked, same, score_of, trained_at
from memtrain.style import GRAY, STYLE, Look, looks_of

WIDTH, HEIGHT = 4.6, 3.8
"""Of the panel of results, in inches, at least."""
LEARNING_WIDTH, LEARNING_HEIGHT = 3.2, 2.8
"""Of a panel of learning, in inches."""
BAR_WIDTH = 0.2
"""Of a method's bar, in inches, at least."""
LEGEND_LINE = 0.2
"""Height of a line of the legend, in inches."""
LEARNED = 3
"""Number of difficulties whose learning is drawn: the hardest."""


@dataclass(frozen=True)
class Part:
    """An experiment's part of the figure.

    Attributes:
        name: of the experiment.
        rows: its rows, of `drawn_with`.
        curves: its validation points with the score and a cost.
        methods: in their order: the best in front, unfinished ones last.
    """

    name: str
    rows: pd.DataFrame
    curves: pd.DataFrame
    methods: list[str]

    @property
    def difficulties(self) -> list[float]:
        """Those whose learning is drawn; NaN is that of data without any."""
        return list(self.curves["difficulty"].drop_duplicates().sort_values())[-LEARNED:]

    @property
    def costs(self) -> list[str]:
        """What learning is drawn against: one line of panels each."""
        return [cost for cost in COSTS if self.curves[cost].notna().any()]

    @property
    def widths(self) -> list[float]:
        """Inches: the panel of results, then those of learning."""
        places = len(self.rows[["difficulty", "evaluation_difficulty"]].drop_duplicates())
        results = max(WIDTH, 1.4 * places, BAR_WIDTH * (len(self.methods) + 1) * places)
        return [results, *(LEARNING_WIDTH for _ in self.difficulties)]

    @property
    def labels(self) -> list[str]:
        """Of the legend: methods, kinds of readings on the way, and which curves are strong."""
        strong = ["middle seed"] if self.curves["seed"].nunique() >= SEEDS_OF_A_MIDDLE else []
        return [*self.methods, *markers_of(self.rows), *strong]

    @property
    def legend_lines(self) -> int:
        """Lines that the labels need below the panels."""
        entry = 0.7 + 0.07 * max(map(len, self.labels))  # inches
        return math.ceil(len(self.labels) * entry / sum(self.widths))

    @property
    def height(self) -> float:
        """Inches, all lines of the legend included."""
        return max(HEIGHT, LEARNING_HEIGHT * len(self.costs)) + LEGEND_LINE * (self.legend_lines - 1)


def draw(rows: pd.DataFrame, curves: pd.DataFrame) -> Figure:
    """The figure of a comparison.

    Args:
        rows: see `memtrain.compare.rows`.
        curves: see `memtrain.compare.curves`; without any there are no panels of learning.
    """
    parts = [part_of(name, own, curves[curves["experiment"] == name]) for name, own in experiments(rows)]
    known = dict.fromkeys(itertools.chain.from_iterable(part.methods for part in parts))
    looks = looks_of(known)
    heights = [part.height for part in parts]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(sum(part.widths) for part in parts), sum(heights)), layout="constrained")
        places = figure.subfigures(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
        for place, part in zip(places, parts, strict=True):
            draw_part(place, part, {method: looks[method] for method in part.methods})
            if len(parts) > 1:
                place.suptitle(part.name, x=0.01, ha="left", weight="bold")
    return figure


def part_of(name: str, rows: pd.DataFrame, curves: pd.DataFrame) -> Part:
    """An experiment's part, given its rows and validation points."""
    rows = drawn_with(rows)
    curves = curves.dropna(subset=[score_of(rows).name]).dropna(subset=list(COSTS), how="all")
    names = [*ranked(rows[rows["final"]]), *ranked(rows[~rows["final"]]), *curves["method"]]
    return Part(name, rows, curves, list(dict.fromkeys(names)))


def draw_part(place: SubFigure, part: Part, looks: Mapping[str, Look]) -> None:
    """One experiment: its results, and its learning at the hardest difficulties, a column each, a line a cost."""
    metric, name = score_of(part.rows).name, difficulty_name(part.rows)
    grid = place.add_gridspec(max(1, len(part.costs)), len(part.widths), width_ratios=part.widths)
    draw_results(place.add_subplot(grid[:, 0]), part.rows, metric, looks)
    trained = trained_at(part.rows)
    first = None
    for line, cost in enumerate(part.costs):
        for column, difficulty in enumerate(part.difficulties):
            axes = place.add_subplot(grid[line, column + 1], sharey=first)
            first = first or axes
            here = trained[same(trained["difficulty"], difficulty)]
            draw_learning(axes, part.curves[same(part.curves["difficulty"], difficulty)], cost, metric, looks)
            for height, (_, style) in reference_lines(here, metric).items():
                axes.axhline(height, color=GRAY, linestyle=style, linewidth=1)
            if column == 0:
                axes.set_ylabel(f"validation {metric}{unit(metric)}")
            else:
                axes.tick_params(labelleft=False)
            if line == 0:
                axes.set_title(f"learning, {name} {difficulty:g}" if name else "learning", loc="left")
    add_legend(place, part, looks)


def add_legend(place: SubFigure, part: Part, looks: Mapping[str, Look]) -> None:
    """The part's `labels`, each with how it is drawn."""
    handles = [
        *(Line2D([], [], color=look.color, linestyle=look.line, marker="o") for look in looks.values()),
        *(
            Line2D([], [], color=GRAY, linestyle="", marker=marker, markerfacecolor="none")
            for marker in markers_of(part.rows).values()
        ),
        Line2D([], [], color=GRAY, linewidth=1.5),
    ]
    columns = math.ceil(len(part.labels) / part.legend_lines)
    place.legend(handles[: len(part.labels)], part.labels, loc="outside lower center", ncols=columns)
