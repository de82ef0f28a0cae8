"""Reading the results of folders that `memtrain run` has filled."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from memtrain.results import DivergedStage, StageResult, read_result

RESULTS = "*/*/*/*/result.json"
"""Of finished stages: method, difficulty, seed, stage; those of tuning runs lie deeper."""
BEGUN = ("origins.json", "budget.json")
"""Files of a stage that has begun."""


@dataclass(frozen=True)
class Finished:
    """A finished stage.

    Args:
        result: what it has left.
        folder: of the stage.
    """

    result: StageResult
    folder: Path


def nothing_finished(directory: Path) -> bool:
    """Whether a result folder has no result yet."""
    return not any(directory.glob(RESULTS))


def read_results(directories: Iterable[Path]) -> list[Finished]:
    """The finished stages of result folders, without those of tuning runs.

    Args:
        directories: folders that `memtrain run` has filled.

    Raises:
        FileNotFoundError: where one has no results.
        ValueError: where one has results of another version of memtrain.
    """
    found = []
    for directory in directories:
        if not directory.is_dir():
            raise FileNotFoundError(f"There is no folder {directory}; name one that `memtrain run` has filled.")
        paths = sorted(directory.glob(RESULTS))
        if not paths:
            raise FileNotFoundError(
                f"{directory} has no finished stage (METHOD/DIFFICULTY/SEED/STAGE/result.json); "
                "run an experiment into it first."
            )
        for path in paths:
            result = read_result(path)
            if result is None or isinstance(result, DivergedStage):
                raise ValueError(f"{path} is the result of a tuning run, but lies among others; remove {path.parent}.")
            found.append(Finished(result, path.parent))
    return found


def read_unfinished(directories: Iterable[Path], found: Sequence[Finished]) -> pd.DataFrame:
    """The runs that have begun and have no result of their last stage: still at work, killed or diverged.

    Args:
        directories: folders that `memtrain run` has filled.
        found: what `read_results` has read there before: a run that has ended since is unfinished in both.

    Returns:
        One row a run with columns experiment, method, difficulty (NaN where there is none) and seed.
    """
    ended = {stage.folder.parent for stage in found if stage.result.is_last}
    runs = []
    for directory in directories:
        experiment = next(stage.result.experiment for stage in found if stage.folder.is_relative_to(directory))
        begun = {path.parents[1] for name in BEGUN for path in directory.glob(f"*/*/*/*/{name}")}
        for folder in sorted(begun - ended):
            method, difficulty, seed = folder.parts[-3:]
            number = float("nan") if difficulty == "any" else float(difficulty)
            runs.append((experiment, method, number, int(seed)))
    return pd.DataFrame(runs, columns=["experiment", "method", "difficulty", "seed"])


def compared_readings(found: Iterable[Finished]) -> dict[tuple[str, str], str]:
    """The reading by which each experiment's method is compared: that of its last finished stage."""
    stages = sorted((stage.result for stage in found), key=lambda result: result.position)
    return {(result.experiment, result.method): result.reading for result in stages}
