"""`memtrain compare`: reads the rows, writes table, summary and figure, prints what they say."""

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from memtrain.compare.figure import draw
from memtrain.compare.rows import COLUMNS, read_rows
from memtrain.compare.verdict import idle_teachers, metric_of, readable, summarise, verdict
from memtrain.files import write_bytes, write_json, write_text
from memtrain.provenance import provenance


def compare_directories(directories: Sequence[Path], output: Path | None = None) -> None:
    """Compare the runs of result folders.

    Writes `comparison.csv`, `comparison.json` and `comparison.png`, and prints table and verdict.

    Args:
        directories: folders that `memtrain run` has filled.
        output: where to write; None: the first of them.

    Raises:
        FileNotFoundError: where a folder has no results.
    """
    output = output or directories[0]
    rows = read_rows(directories)
    said = verdict(rows)
    write_text(output / "comparison.csv", rows[COLUMNS].to_csv(index=False))
    write_json(
        output / "comparison.json",
        {
            "experiment": ", ".join(rows["experiment"].unique()),
            "rows": as_primitives(rows[COLUMNS]),
            "summary": summarise(rows),
            "verdict": said,
            "provenance": provenance() | {"seeds": sorted(int(seed) for seed in rows["seed"].unique())},
        },
    )
    image = io.BytesIO()
    draw(rows, directories).savefig(image, dpi=200, format="png")
    write_bytes(output / "comparison.png", image.getvalue())
    console = Console(soft_wrap=False, highlight=False)
    console.print(table(rows))
    for sentence in (*idle_teachers(rows), *said.splitlines()):
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(f"Table: {output / 'comparison.csv'}  Figure: {output / 'comparison.png'}", soft_wrap=True)
    checkpoint = min(directories[0].glob("*/*/*/*/checkpoints/last.ckpt"), default="FILE", key=str)
    console.print(f"Next: tensorboard --logdir {directories[0]}", soft_wrap=True)
    console.print(f"      memtrain generate --checkpoint {checkpoint} --help", soft_wrap=True)


def as_primitives(rows: pd.DataFrame) -> list[dict[str, object]]:
    """Rows as dictionaries, with None where a value is undefined."""
    return rows.astype(object).where(rows.notna(), None).to_dict("records")


def table(rows: pd.DataFrame) -> Table:
    """The rows for reading: one line a method at each pair of difficulties, the best first."""
    metric = metric_of(rows)
    title = ", ".join(rows["experiment"].unique())
    result = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title, title_justify="left")
    result.add_column(rows["difficulty_name"].iloc[0] or "", no_wrap=True)
    result.add_column("method", no_wrap=True)
    for column in (metric, "range", "seeds", "seconds", "chain", "weights"):
        result.add_column(column, justify="right", no_wrap=True)
    for (difficulty, evaluated), place in rows.groupby(["difficulty", "evaluation_difficulty"], dropna=False):
        where = "" if pd.isna(difficulty) else f"{difficulty:g}"
        where += f" -> {evaluated:g}" if where and difficulty != evaluated else ""
        methods = [group for _, group in place.groupby("method")]
        methods.sort(key=lambda group: group[metric].mean(), reverse=metric == "accuracy")
        for group in methods:
            values = group[metric]
            result.add_row(
                where,
                group["method"].iloc[0],
                readable(metric, values.mean()),
                f"{readable(metric, values.min()).split()[0]}..{readable(metric, values.max()).split()[0]}",
                str(group["seed"].nunique()),
                f"{group['train_seconds'].mean():.0f}",
                f"{group['gradient_steps'].max():.0f}",
                f"{group['parameters'].mean():,.0f}",
            )
            where = ""
        result.add_section()
    result.caption = "seconds: training, all stages; chain: gradient steps through the cell"
    return result
