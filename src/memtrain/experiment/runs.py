"""From an experiment to its runs: one method at one difficulty with one seed each."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from memtrain.experiment.specification import Experiment, Number

Rates = Mapping[str, float]
"""Learning rates by stage; a stage that is not in it keeps the file's."""


@dataclass(frozen=True)
class Run:
    """One method at one difficulty with one seed.

    Args:
        method: name of the method.
        difficulty: training difficulty, or None.
        seed: seed of the run.
        rates: the learning rates that a tuning run tries, as (stage, rate) pairs; empty: a run of the comparison.
    """

    method: str
    difficulty: Number | None
    seed: int
    rates: tuple[tuple[str, float], ...] = ()

    @property
    def folder(self) -> Path:
        """Where the run lives, below the experiment's folder."""
        place = Path(self.method, "any" if self.difficulty is None else str(self.difficulty), str(self.seed))
        tried = "-".join(f"{stage}_{rate:g}" for stage, rate in self.rates)
        return Path("tuning", place, tried) if self.rates else place

    def __str__(self) -> str:
        words = [self.method] + ([str(self.difficulty)] if self.difficulty is not None else [])
        return " ".join([*words, f"seed {self.seed}", *(f"{stage} lr {rate:g}" for stage, rate in self.rates)])


def list_runs(experiment: Experiment) -> list[Run]:
    """All runs in the order of their index: tuning runs first, then those of the comparison, seed by seed."""
    tuning = []
    if experiment.grid is not None:
        grid = experiment.grid
        difficulties = experiment.difficulties if grid.difficulty is None else [grid.difficulty]
        for method, rates in grid.learning_rates.items():
            tried = combinations(rates, experiment.methods[method])
            tuning += [Run(method, *rest) for rest in itertools.product(difficulties, grid.seeds, tried)]
    compared = itertools.product(experiment.seeds, experiment.difficulties, experiment.methods)
    return tuning + [Run(method, difficulty, seed) for seed, difficulty, method in compared]


def combinations(rates: list[float] | dict[str, list[float]], stages: list[str]) -> list[tuple[tuple[str, float], ...]]:
    """The learning rates to try.

    Args:
        rates: rates of all stages together, or of each stage.
        stages: stages of the method.

    Returns:
        One tuple of (stage, rate) pairs for each trial.
    """
    if isinstance(rates, list):
        return [tuple((stage, rate) for stage in stages) for rate in rates]
    return [tuple(zip(rates, trial, strict=True)) for trial in itertools.product(*rates.values())]


def evaluation_difficulties(experiment: Experiment, difficulty: Number | None) -> list[Number | None]:
    """The difficulty of training, then the others that a run is read at."""
    return [difficulty, *(other for other in experiment.evaluation.difficulties if other != difficulty)]
