"""What an experiment has declared of its comparison: the pairs that are compared, when a run has solved; its tuning."""

from collections.abc import Iterable, Mapping, Sequence
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


@dataclass(frozen=True)
class Declared:
    """What an experiment has declared of its comparison.

    Attributes:
        family: the pairs of methods that are compared; None: all.
        solved_at: accuracy from which on a run has solved the task; None: it is no task that a run solves or fails.
        trials: tuning runs of each method that has any.
        remarks: sentences about declarations that do not hold.
    """

    family: frozenset[Pair] | None = None
    solved_at: float | None = None
    trials: Mapping[str, int] = field(default_factory=dict)
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
    trials = pd.concat(tables) if tables else pd.DataFrame(columns=["experiment", "method"])
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
    return Declared(family, solved_at, trials, tuple(remarks))


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
    family = content.get("family")
    if family is not None and not (isinstance(family, list) and all(isinstance(pair, list) for pair in family)):
        raise ValueError(f"{path} has a family that is no list of pairs; remove it.")
    return content


def read_tuning(path: Path) -> pd.DataFrame:
    """Experiment and method of each tuning run."""
    try:
        table = pd.read_csv(path, dtype=str, encoding=ENCODING)
        return table[["experiment", "method"]]
    except (ValueError, KeyError) as error:  # pandas' own are, and so is what is no UTF-8
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is no table of tuning runs ({reason}); remove it, and run the experiment.") from None
