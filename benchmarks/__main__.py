"""`python -m benchmarks`: time everything, print the table, write `bench.json`."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentError
from rich.console import Console

from benchmarks.growth import LENGTHS, METHODS, draw, measure_apart, streaming
from benchmarks.limit import matrix_product_speed, profile_step, share_of_limit
from benchmarks.ours import silence_lightning
from benchmarks.parity import check_parity
from benchmarks.reference import Reference, load_reference
from benchmarks.report import markdown_limit, markdown_table, missed, rich_table, row
from benchmarks.settings import SMALL, Setting
from benchmarks.timing import THREADS, alternate
from benchmarks.workloads import WORKLOADS, Workload
from memtrain.files import write_json, write_table, write_text
from memtrain.parsing import SentenceParser, sentence
from memtrain.provenance import provenance

LIMITED = ("A_bidirectional", "A_causal", "B", "C_detached", "C_through_time", "D", "E_1", "E_8", "F")
"""Workloads whose share of the machine's speed is measured."""
PARTS = ("limit", "growth", "streaming")
"""What `--only` knows beside the workloads."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: the words after `python -m benchmarks`; None for those of this process.

    Returns:
        The exit status: 0, also where a target is missed, which is printed; 1 where the work failed, 2 where the
        command line is wrong.
    """
    words = list(sys.argv[1:] if args is None else args)
    try:
        options = command_parser().parse_args(words)
        run(options, shlex.join(["python", "-m", "benchmarks", *words]))
    except (ArgumentError, ValueError, OSError) as error:
        print(f"benchmarks: {sentence(error)}", file=sys.stderr)
        return 2 if isinstance(error, ArgumentError) else 1
    return 0


def command_parser() -> SentenceParser:
    """The options."""
    parser = SentenceParser(
        prog="python -m benchmarks", description="Time memtrain against the authors' code, at equal work."
    )
    parser.add_argument(
        "--reference", type=Path, default=None, help="a checkout of github.com/akarshkumar0101/smt; none: ours alone"
    )
    parser.add_argument(
        "--only",
        type=str,
        default=None,
        help=f"a,b: only these of {', '.join(w.name for w in WORKLOADS)}, {', '.join(PARTS)}",
    )
    parser.add_argument("--seconds", type=float, default=40.0, help="for each workload, but at least 3 rounds")
    parser.add_argument("--quick", action="store_true", help="toy sizes: tries the benchmark, measures nothing")
    parser.add_argument("--output", type=Path, default=Path("runs/bench"), help="folder of bench.json")
    parser.add_argument("--save", type=Path, default=None, help="folder for tables and figure too, to be committed")
    return parser


def chosen(only: str | None) -> list[str]:
    """The names that `--only` asks for.

    Raises:
        ValueError: for an unknown one.
    """
    known = [*(workload.name for workload in WORKLOADS), *PARTS]
    names = known if only is None else only.split(",")
    for name in names:
        if name not in known:
            raise ValueError(f"only is {only}, but {name} is none of {', '.join(known)}.")
    return names


def run(options: Any, command: str) -> None:
    """Time, print and write what was asked for."""
    console = Console()
    silence_lightning()
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    names = chosen(options.only)
    reference = load_reference(options.reference) if options.reference else None
    workloads = [workload for workload in WORKLOADS if workload.name in (*names, *LIMITED)]
    parity_setting = Setting(SMALL, batch=8)
    if options.quick:
        workloads = [replace(workload, setting=workload.setting.quick()) for workload in workloads]
        parity_setting = parity_setting.quick()
    record = origin(command, reference)
    if reference is not None:
        record["parity"] = check_parity(reference, parity_setting)
        console.print(f"same weights, largest difference of any output: {max(record['parity'].values()):.1e}")
    for workload in workloads:
        if workload.name in names:
            record["workloads"].append(time_workload(workload, reference, options.seconds, console))
    if "limit" in names:
        record["limit"] = measure_limit(workloads, console)
    if "growth" in names:
        record["growth"] = measure_growth(LENGTHS[:2] if options.quick else LENGTHS, console)
    if "streaming" in names:
        record["streaming"] = streaming(10, 20, 3) if options.quick else streaming()
        console.print(f"streaming, old over young: {record['streaming']['ratio']:.3f}")
    write_json(options.output / "bench.json", record)
    if options.save is not None:
        save(record, options.save)
    console.print(rich_table(record["workloads"]))
    for line in missed(record["workloads"]):
        console.print(line, style="red")


def origin(command: str, reference: Reference | None) -> dict[str, Any]:
    """Where a result comes from; the lists of results are still empty."""
    record = provenance() | {"command": command, "date": date.today().isoformat()}
    record["reference"] = reference and reference.digests
    record["versions"]["onnxruntime"] = version("onnxruntime")
    if reference is not None:
        record["versions"] |= {name: version(name) for name in ("x-transformers", "einops")}
    return record | {"precision": "float32", "parity": None, "workloads": []}


def time_workload(workload: Workload, reference: Reference | None, seconds: float, console: Console) -> dict[str, Any]:
    """Build, check and time one workload."""
    torch.manual_seed(0)
    pair = workload.pair(reference)
    entry = row(workload, alternate(pair.ours, pair.theirs, seconds), pair.work)
    ratio = "" if entry["ratio"] is None else f", ratio {entry['ratio']:.2f} (target {entry['target']:g})"
    console.print(f"{workload.name}: {entry['ours_seconds']:.4g} s{ratio}, spread {entry['spread']:.0%}")
    return entry


def measure_limit(workloads: Sequence[Workload], console: Console) -> dict[str, Any]:
    """Shares of the machine's speed, and profiles, of our side of the limited workloads."""
    speed = matrix_product_speed()
    steps: dict[str, Any] = {}
    for workload in workloads:
        if workload.name in LIMITED:
            step = workload.pair(None).ours.run
            steps[workload.name] = share_of_limit(step, speed) | {"profile": profile_step(step)}
            console.print(f"{workload.name}: {steps[workload.name]['share']:.0%} of {speed / 1e9:.0f} GFLOP/s")
    return {"matrix_product_gflops_per_second": speed / 1e9, "steps": steps}


def measure_growth(lengths: Sequence[int], console: Console) -> list[dict[str, Any]]:
    """The points of the growth figure."""
    points = []
    for method in METHODS:
        for length in lengths:
            points.append(measure_apart(method, length))
            console.print(
                ", ".join(
                    f"{key} {value:.4g}" if key not in ("method",) else value for key, value in points[-1].items()
                )
            )
    return points


def save(record: dict[str, Any], folder: Path) -> None:
    """Write what a committed result consists of."""
    write_json(folder / "bench.json", record)
    write_text(folder / "table.md", markdown_table(record))
    if "limit" in record:
        write_text(folder / "profile.md", markdown_limit(record))
    if "growth" in record:
        write_table(folder / "growth.csv", record["growth"])
        draw(record["growth"], folder / "growth.png")


if __name__ == "__main__":
    sys.exit(main())
