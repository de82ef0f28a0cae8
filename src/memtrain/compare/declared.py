"""What an experiment has declared of its comparison: the pairs that are compared, when a run has solved; its tuning."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from memtrain.compare.results import Finished

EXPERIMENT_FILES = "experiment-*.yaml"
"""Of the experiments that `memtrain run` has trained into a folder; one for each selection of methods and seeds."""
ENCODING = "utf-8-sig"
"""Of tables, which a spreadsheet saves with a mark at their beginning."""

Pair = frozenset[str]
RunName = tuple[str, float | None, int]


@dataclass(frozen=True)
class Declared:
    """What an experiment has declared of its comparison.

    Attributes:
        family: the pairs of methods that are compared; None: all.
        solved_at: accuracy from which on a run has solved the task; None: it is no task that a run solves or fails.
        trials: tuning runs of each method that has any.
        runs: method, difficulty (None where there is none) and seed of each run that was asked for.
        remarks: sentences about declarations that do not hold.
    """

    family: frozenset[Pair] | None = None
    solved_at: float | None = None
    trials: Mapping[str, int] = field(default_factory=dict)
    runs: frozenset[RunName] = frozenset()
    remarks: tuple[str, ...] = ()


def read_declared(directories: Iterable[Path], found: Sequence[Finished]) -> dict[str, Declared]:
    """What each experiment has declared, by its name.

    Only what *all* experiment files of its folders declare holds: what was added once there were runs came too late.

    Args:
        directories: folders that `memtrain run` has filled.
        found: of `memtrain.compare.results.read_results`.

    Raises:
        ValueError: where an experiment file is no YAML, or a `tuning.csv` no table.
    """
    files: dict[str, list[dict[str, Any]]] = {stage.result.experiment: [] for stage in found}
    tables = []
    for directory in directories:
        for path in sorted(directory.glob(EXPERIMENT_FILES)):
            content = read_yaml(path)
            files.setdefault(str(content.get("name")), []).append(content)
        if (directory / "tuning.csv").is_file():
            tables.append(read_tuning(directory / "tuning.csv"))
    # several folders may hold the same tuning
    trials = pd.concat(tables).drop_duplicates() if tables else pd.DataFrame(columns=["experiment", "method"])
    return {
        name: declared(contents, trials.loc[trials["experiment"] == name, "method"].value_counts().to_dict())
        for name, contents in files.items()
    }


def declared(files: Sequence[Mapping[str, Any]], trials: Mapping[str, int]) -> Declared:
    """What an experiment's files declare together.

    Args:
        files: their contents.
        trials: tuning runs of each method that has any.
    """
    remarks = []
    families = [file.get("family") for file in files]
    known = [pairs_of(family) for family in families if family is not None]
    family = frozenset().union(*known) if known and len(known) == len(families) else None
    if known and family is None:
        remarks.append("a family is declared, but not by all experiment files of its folder; all pairs count.")
    thresholds = {file.get("solved_at") for file in files}
    solved_at = thresholds.pop() if len(thresholds) == 1 else None
    if thresholds and solved_at is None:
        remarks.append("the experiment files of its folder differ in solved_at; solve rates do not count.")
    runs = frozenset(itertools.chain.from_iterable(runs_of(file) for file in files))
    return Declared(family, solved_at, trials, runs, tuple(remarks))


def runs_of(file: Mapping[str, Any]) -> Iterator[RunName]:
    """The runs that an experiment file asks for."""
    difficulty = file.get("difficulty")
    values = difficulty["values"] if difficulty else [None]
    yield from itertools.product(file.get("methods") or {}, values, file.get("seeds") or [])


def pairs_of(family: Iterable[Sequence[str]]) -> frozenset[Pair]:
    """Pairs of methods, whose order says nothing."""
    return frozenset(frozenset(pair) for pair in family)


def read_yaml(path: Path) -> dict[str, Any]:
    """The content of an experiment file that `memtrain run` has written."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML file ({' '.join(str(error).split())}); remove it.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no experiment; remove it.")
    try:
        list(runs_of(content))
        if any(len(pair) != 2 for pair in pairs_of(content.get("family") or [])):
            raise ValueError("its family is no list of pairs")
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is no experiment ({' '.join(str(error).split())}); remove it.") from None
    return content


def read_tuning(path: Path) -> pd.DataFrame:
    """The tuning runs, one a row."""
    try:
        table = pd.read_csv(path, dtype=str, encoding=ENCODING)
        missing = {"experiment", "method"} - set(table)
        if missing:
            raise ValueError(f"it has no column {min(missing)}")
        return table
    except ValueError as error:  # pandas' own are, and so is what is no UTF-8
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is no table of tuning runs ({reason}); remove it, and run the experiment.") from None
