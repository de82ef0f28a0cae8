"""From an experiment to its runs: one method at one difficulty with one seed each."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtrain.experiment.options import folder_name, spelled
from memtrain.experiment.specification import Experiment, Number


@dataclass(frozen=True)
class Run:
    """One method at one difficulty with one seed.

    Args:
        method: name of the method.
        difficulty: training difficulty, or None.
        seed: seed of the run.
        options: the options that a tuning run tries, as (name, value) pairs; empty: a run of the comparison.
    """

    method: str
    difficulty: Number | None
    seed: int
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def folder(self) -> Path:
        """Where the run lives, below the experiment's folder."""
        place = Path(self.method, "any" if self.difficulty is None else str(self.difficulty), str(self.seed))
        return Path("tuning", place, folder_name(dict(self.options))) if self.options else place

    def __str__(self) -> str:
        words = [self.method] + ([str(self.difficulty)] if self.difficulty is not None else [])
        return " ".join([*words, f"seed {self.seed}", *([spelled(dict(self.options))] if self.options else [])])


def list_runs(experiment: Experiment) -> list[Run]:
    """All runs in the order of their index: tuning runs first, then those of the comparison, seed by seed."""
    tuning = []
    if experiment.grid is not None:
        grid = experiment.grid
        difficulties = experiment.difficulties if grid.difficulty is None else [grid.difficulty]
        for method, options in grid.options.items():
            tried = combinations(options)
            tuning += [Run(method, *rest) for rest in itertools.product(difficulties, grid.seeds, tried)]
    compared = itertools.product(experiment.seeds, experiment.difficulties, experiment.methods)
    return tuning + [Run(method, difficulty, seed) for seed, difficulty, method in compared]


def combinations(options: Mapping[str, Sequence[Any]]) -> list[tuple[tuple[str, Any], ...]]:
    """All trials of a method, as (name, value) pairs each, from the values to try of each option."""
    return [tuple(zip(options, trial, strict=True)) for trial in itertools.product(*options.values())]


def evaluation_difficulties(experiment: Experiment, difficulty: Number | None) -> list[Number | None]:
    """The difficulty of training, then the others that a run is read at."""
    return [difficulty, *(other for other in experiment.evaluation.difficulties if other != difficulty)]
