"""`memtrain compare`: reads the rows, writes table, summary and figure, prints what they say."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from memtrain.compare.cautions import idle_helpers, unlike_drifts, unlike_sizes
from memtrain.compare.curves import as_csv, read_curves
from memtrain.compare.declared import read_declared
from memtrain.compare.equal import at_equal_tokens, of_finished
from memtrain.compare.figure import draw
from memtrain.compare.origins import differences, origins, unequal_conditions
from memtrain.compare.queries import experiments, ranked, score_of, trained_at
from memtrain.compare.results import read_results, read_unfinished
from memtrain.compare.rows import to_rows
from memtrain.compare.summary import summarize
from memtrain.compare.tables import equal_table, seeds_table, table
from memtrain.compare.verdict import verdict
from memtrain.files import LAST_CHECKPOINT, write_figure, write_json, write_text
from memtrain.provenance import provenance


def compare_directories(directories: Sequence[Path], output: Path | None = None) -> None:
    """Compare the runs of result folders.

    Writes `comparison.csv`, `curves.csv`, `equal_tokens.csv`, `comparison.json` and `comparison.png`, and prints tables
    and verdict.

    Args:
        directories: folders that `memtrain run` has filled.
        output: where to write; None: the first of them.

    Raises:
        FileNotFoundError: where a folder has no results.
        ValueError: where two folders hold the same run, or an experiment file or a `tuning.csv` is damaged.
    """
    output = output or directories[0]
    found = read_results(directories)  # once: runs may go on meanwhile
    results = [stage.result for stage in found]
    rows = to_rows(found)
    written = rows.drop(columns="folder")
    curves = read_curves(found)
    equal = at_equal_tokens(of_finished(curves, rows))
    said = verdict(rows, read_unfinished(directories, found), read_declared(directories, found))
    runs = origins(results)
    write_text(output / "comparison.csv", written.to_csv(index=False))
    write_text(output / "curves.csv", as_csv(curves))
    write_text(output / "equal_tokens.csv", as_csv(equal))
    write_json(
        output / "comparison.json",
        {
            "experiment": ", ".join(rows["experiment"].unique()),
            "rows": as_primitives(written),
            "summary": summarize(rows),
            "verdict": said,
            "provenance": provenance() | {"seeds": sorted(int(seed) for seed in rows["seed"].unique()), "runs": runs},
        },
    )
    write_figure(output / "comparison.png", draw(rows, curves))
    console = Console(soft_wrap=False, highlight=False)
    for name, own in experiments(rows):
        console.print(table(name, own))
        if own["final"].any():
            console.print(seeds_table(name, own[own["final"]]))
        if name in set(equal["experiment"]):
            console.print(equal_table(name, equal[equal["experiment"] == name], own))
    for sentence in (
        *unequal_conditions(results),
        *differences(runs),
        *unlike_sizes(found),
        *unlike_drifts(found),
        *idle_helpers(rows),
        *said.splitlines(),
    ):
        console.print(sentence, markup=False, soft_wrap=True)
    files = f"Table: {output / 'comparison.csv'}  Figure: {output / 'comparison.png'}"
    console.print(files, markup=False, soft_wrap=True)
    for command in next_commands(rows, directories[0]):
        console.print(f"Next: {command}", markup=False, soft_wrap=True)


def next_commands(rows: pd.DataFrame, directory: Path) -> list[str]:
    """Commands that show more: curves and pages, and samples of the best method's first seed."""
    commands = [["tensorboard", "--logdir", str(directory)]]
    _, own = experiments(rows)[0]
    final = trained_at(own[own["final"]])
    if len(final):
        best = final[final["method"] == ranked(final)[0]].sort_values("seed", kind="stable").iloc[0]
        checkpoint = best["folder"] / LAST_CHECKPOINT
        # where accuracy counts, most outputs are no tokens of a continuation, and many were never trained
        if checkpoint.is_file() and score_of(own).name == "loss" and pd.notna(best["bits"]):  # only classes have bits
            commands.append(["memtrain", "generate", "--checkpoint", str(checkpoint)])
    return [shlex.join(command) for command in commands]


def as_primitives(rows: pd.DataFrame) -> list[dict[str, object]]:
    """Rows as dictionaries, with None where a value is undefined."""
    return rows.astype(object).where(rows.notna(), None).to_dict("records")
