"""Where compared runs come from, and whether they come from the same place."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from memtrain.results import StageResult

Origins = Mapping[str, list[Any]]


def origins(results: Iterable[StageResult]) -> Origins:
    """The distinct commits, versions and hardware of results, those of interrupted processes included."""
    found: dict[str, list[Any]] = {"commit": [], "versions": [], "hardware": []}
    for result in results:
        for origin in (*result.continued_from, result.provenance):
            for name, values in found.items():
                if origin[name] not in values:
                    values.append(origin[name])
    return found


def unequal_conditions(results: Iterable[StageResult]) -> Iterator[str]:
    """One sentence for runs with unequal budgets, data or readings, and one for seeds with unequal options."""
    conditions: dict[tuple[Any, ...], set[str]] = {}
    recipes: dict[tuple[Any, ...], set[str]] = {}
    for result in results:
        place = result.experiment, result.difficulty
        conditions.setdefault(place, set()).add(result.conditions)
        recipes.setdefault((*place, result.method, result.stage), set()).add(result.recipe)
    for (experiment, difficulty), found in conditions.items():
        if len(found) > 1:
            where = place_name(experiment, difficulty)
            yield f"{where}: the runs had unequal budgets, data or evaluations; nothing follows from comparing them."
    for (experiment, difficulty, method, stage), found in recipes.items():
        if len(found) > 1:
            where = place_name(experiment, difficulty)
            yield f"{where}: the seeds of {method} had unequal options in stage {stage}; remove those of one kind."


def place_name(experiment: str, difficulty: float | None) -> str:
    """An experiment, and its difficulty where it has one."""
    return experiment if difficulty is None else f"{experiment} at {difficulty:g}"


def differences(found: Origins) -> Iterator[str]:
    """One sentence where runs differ in commit, one where they differ in hardware."""
    if len(found["commit"]) > 1:
        commits = ", ".join(commit or "unknown" for commit in found["commit"])
        yield f"The runs come from {len(found['commit'])} commits: {commits}."
    if len(found["hardware"]) > 1:
        machines = "; ".join(", ".join(f"{k} {v}" for k, v in machine.items()) for machine in found["hardware"])
        yield f"The runs come from {len(found['hardware'])} kinds of hardware, so that seconds differ: {machines}."
