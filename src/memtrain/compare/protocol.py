"""Sentences about how a comparison was made: its family, what cannot be decided, what was left out, and tuning."""

import math
from collections.abc import Iterator, Mapping

import pandas as pd

from memtrain.compare.declared import Declared, RunName
from memtrain.compare.family import Family
from memtrain.compare.queries import score_of
from memtrain.compare.significance import LEVEL


def protocol(judged: list[Family], declared: Declared, rows: pd.DataFrame) -> Iterator[str]:
    """What was compared, what cannot be decided, what was not compared, and how methods were tuned.

    Args:
        judged: the experiment's families.
        declared: what it has declared.
        rows: its final rows.
    """
    pairs = "every pair of methods, since no family is declared" if declared.family is None else "the declared pairs"
    for family in judged:
        size = len(family.comparisons)
        elsewhere = "" if family.at_training else ", read at difficulties other than those of training"
        yield f"Holm's correction is over {size} comparison{'s' * (size > 1)}{elsewhere}: {pairs}, at each difficulty."
        if family.least_p > family.first_level:
            yield (
                f"none of them can be decided: the smallest p must be at most {family.first_level:.2g}, and so few "
                f"seeds give {family.least_p:.2g} at best; {family.least_seeds} seeds each could, or a smaller family "
                "that is declared before the runs."
            )
    if any(one.p_value is not None and p > LEVEL for family in judged for one, p in family.results):
        yield "a claim by more seeds needs all of them fresh: seeds added after a look at the others make p too small."
    ended = {run_of(*run) for run in rows[["method", "difficulty", "seed"]].itertuples(index=False)}
    left = {run_of(*run) for run in declared.runs} - ended
    if left:
        yield (
            f"{len(left)} of {len(declared.runs)} runs that were asked for have not ended: this is a look in between, "
            "and p holds for the whole alone."
        )
    methods = list(dict.fromkeys(map(str, rows["method"])))
    named = methods if declared.family is None else frozenset().union(*declared.family)
    left_out = [method for method in methods if method not in named]
    if left_out:
        yield f"not compared, for the declared family does not name them: {', '.join(left_out)}."
    if declared.solved_at is not None and score_of(rows).name != "accuracy":
        yield f"solved_at is declared, but methods are compared by {score_of(rows).name}; solve rates do not count."
    yield from declared.remarks
    yield from tuning(methods, declared.trials)


def run_of(method: str, difficulty: float | None, seed: int) -> RunName:
    """A run's name, with None where it has no difficulty."""
    return method, None if difficulty is None or math.isnan(difficulty) else difficulty, seed


def tuning(methods: list[str], trials: Mapping[str, int]) -> Iterator[str]:
    """How many tuning trials each method had, and whether they had as many."""
    if not any(method in trials for method in methods):
        yield "no method was tuned here."
        return
    counts = [f"{method} {trials[method]}" if method in trials else f"{method} untuned" for method in methods]
    yield f"tuning trials: {', '.join(counts)}."
    if len({trials.get(method, 0) for method in methods}) > 1:
        yield "methods had unequal numbers of tuning trials; no test takes the advantage of more trials away."
