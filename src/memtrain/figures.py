"""`memtrain figures`: draws the figures of result folders again, from their tables alone."""

import importlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from memtrain.compare.curves import CURVE_COLUMNS
from memtrain.compare.figure import draw
from memtrain.compare.rows import COLUMNS, LATER_COLUMNS
from memtrain.experiment.measurement import prepare, write_measured
from memtrain.experiment.reading import read_experiment
from memtrain.files import write_figure

WORDS = dict.fromkeys(["experiment", "method", "reading", "stage", "difficulty_name", "score", "encoder"], str)
"""Columns of words, which stay words where they look like numbers."""
ENCODING = "utf-8-sig"
"""Of tables, which a spreadsheet saves with a mark at their beginning."""


def draw_figures(folders: Iterable[Path]) -> None:
    """Write `figure.png` beside each folder's `results.csv`, and print where.

    Args:
        folders: of comparisons, with the `comparison.csv` of `memtrain compare` as `results.csv` and, where learning is
            to be drawn, its `curves.csv`; or of measurements, with their `experiment.yaml`.

    Raises:
        FileNotFoundError: where a folder has no `results.csv`, or that of a measurement no `experiment.yaml`.
        ValueError: where the table is neither a comparison's nor a measurement's.
    """
    for folder in folders:
        redraw(folder)
        print(f"Figure: {folder / 'figure.png'}")


def redraw(folder: Path) -> None:
    """Write the figure of one folder; see `draw_figures`."""
    path = folder / "results.csv"
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}; name folders that hold one, as experiments/demo.")
    if "evaluation_difficulty" not in pd.read_csv(path, nrows=0, encoding=ENCODING):
        write_measured(measured(folder), folder)
        return
    rows = read_comparison(path)
    missing = [name for name in COLUMNS if name not in rows and name not in LATER_COLUMNS]
    if missing or rows.empty:
        what = f"has no column {missing[0]}" if missing else "has no rows"
        raise ValueError(f"{path} {what}; take it from the comparison.csv that `memtrain compare` writes.")
    curves = folder / "curves.csv"
    points = read_comparison(curves) if curves.is_file() else pd.DataFrame(columns=CURVE_COLUMNS)
    write_figure(folder / "figure.png", draw(rows, points))


def read_comparison(path: Path) -> pd.DataFrame:
    """A table that `memtrain compare` has written, with the same numbers and words; empty entries are NaN."""
    return pd.read_csv(path, dtype=WORDS, keep_default_na=False, na_values=[""], encoding=ENCODING)


def measured(folder: Path) -> Figure:
    """The figure of a measurement's table, by the function `draw` beside the one that measures."""
    measurement = read_experiment(folder / "experiment.yaml").measurement
    if measurement is None:
        raise ValueError(f"{folder / 'results.csv'} is no comparison, and {folder / 'experiment.yaml'} no measurement.")
    function, _ = prepare(measurement)
    module = importlib.import_module(function.__module__)
    if not hasattr(module, "draw"):
        raise ValueError(f"{measurement['class_path']} has no function draw(table) beside it; write one to draw again.")
    return module.draw(pd.read_csv(folder / "results.csv", encoding=ENCODING))
