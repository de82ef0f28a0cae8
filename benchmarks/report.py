"""What a run leaves behind: `bench.json`, and the tables that are read off it.

`python -m benchmarks.report runs/bench/bench.json` prints the table in Markdown, for the README.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.timing import Timing
from benchmarks.workloads import Workload
from memtrain.files import read_json

COLUMNS = ("workload", "ours", "theirs", "ratio", "target", "spread", "met")


def row(workload: Workload, timing: Timing, work: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a workload in `bench.json`.

    Args:
        workload: what was timed.
        timing: its rounds.
        work: what both sides were found to work with.
    """
    ratio = timing.ratio
    return {
        "name": workload.name,
        "ours_seconds": statistics.median(timing.ours),
        "theirs_seconds": statistics.median(timing.theirs) if timing.theirs else None,
        "ratio": ratio,
        "target": workload.target,
        "comparison": workload.comparison,
        "spread": timing.spread,
        "met": None if ratio is None else ratio >= workload.target,
        "configuration": workload.configuration(),
        "work": dict(work),
        "rounds": {"ours": timing.ours, "theirs": timing.theirs},
    }


def cells(entry: Mapping[str, Any]) -> list[str]:
    """A row of the table as text."""
    return [
        entry["name"],
        duration(entry["ours_seconds"]),
        "-" if entry["theirs_seconds"] is None else duration(entry["theirs_seconds"]),
        "-" if entry["ratio"] is None else f"{entry['ratio']:.2f}",
        f"{entry['target']:g}",
        f"{entry['spread']:.0%}",
        {True: "yes", False: "NO", None: "-"}[entry["met"]],
    ]


def duration(seconds: float) -> str:
    """Seconds, with three digits and a unit: 0.00123 is "1.23 ms"."""
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def rich_table(entries: Sequence[Mapping[str, Any]]) -> Table:
    """The table for a terminal."""
    table = Table(title="theirs / ours; a target is a lower bound")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "workload" else "right")
    for entry in entries:
        table.add_row(*cells(entry), style="red" if entry["met"] is False else None)
    return table


def missed(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence for each target that was missed."""
    return [
        f"{entry['name']}: target {entry['target']:g} missed, ratio {entry['ratio']:.2f}."
        for entry in entries
        if entry["met"] is False
    ]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def markdown_table(record: Mapping[str, Any]) -> str:
    """The table of a `bench.json`, what each row compares, what else was found, and where it was measured."""
    hardware, entries = record["hardware"], record["workloads"]
    parts = [
        markdown(COLUMNS, [cells(entry) for entry in entries]),
        "\n",
        *(f"- `{entry['name']}`: {entry['comparison']}.\n" for entry in entries),
        "\n",
        *(f"{finding}\n\n" for finding in findings(record)),
        f"Ratio: theirs / ours, of the medians; spread: interquartile range of the rounds' ratios over their median. "
        f"{hardware['processor']}, {hardware['threads']} threads, float32, torch {record['versions']['torch']}, commit "
        f"{str(record['commit'])[:12]}, {record['date']}.\n",
    ]
    return "".join(parts)


def findings(record: Mapping[str, Any]) -> list[str]:
    """Parity and streaming in a sentence each, where the run has looked at them."""
    sentences = []
    if record.get("parity"):
        sentences.append(
            f"From the same weights, {', '.join(record['parity'])} of both sides differ by at most "
            f"{max(record['parity'].values()):.0e}."
        )
    if "streaming" in record:
        stream = record["streaming"]
        sentences.append(
            f"Streaming takes {duration(stream['young_seconds'])} a token at token {stream['young_tokens']:,} and "
            f"{stream['ratio']:.3f} times that at token {stream['old_tokens']:,}."
        )
    return sentences


def markdown_limit(record: Mapping[str, Any]) -> str:
    """The shares of the machine's speed, and the profile behind each."""
    limit = record["limit"]
    steps = limit["steps"]
    speed = limit["matrix_product_gflops_per_second"]
    parts = [
        f"A float32 matrix product here: {speed:.0f} GFLOP/s on {record['hardware']['threads']} threads.\n\n",
        markdown(
            ("step", "GFLOP", "seconds", "GFLOP/s", "share of the limit"),
            [
                [
                    name,
                    f"{step['flops'] / 1e9:.1f}",
                    f"{step['seconds']:.3f}",
                    f"{step['gflops_per_second']:.1f}",
                    f"{step['share']:.0%}",
                ]
                for name, step in steps.items()
            ],
        ),
    ]
    for name, step in steps.items():
        parts.append(f"\n## {name}\n\n")
        parts.append(
            markdown(
                ("operator", "calls a step", "ms a step", "share"),
                [
                    [f"`{r['operator']}`", f"{r['calls']:.0f}", f"{r['milliseconds']:.1f}", f"{r['share']:.1%}"]
                    for r in step["profile"]
                ],
            )
        )
    return "".join(parts)


if __name__ == "__main__":
    print(markdown_table(read_json(Path(sys.argv[1]))), end="")
