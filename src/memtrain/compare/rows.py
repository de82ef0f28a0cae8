"""From `result.json` files to the rows of `comparison.csv`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from memtrain.files import read_json

COLUMNS = [
    "experiment", "method", "difficulty_name", "difficulty", "evaluation_difficulty", "seed",
    "accuracy", "loss", "bits",
    "chance", "shortcut_accuracy", "best_possible", "unigram_entropy", "bigram_entropy",
    "drift_mean", "drift_equilibrium", "drift_relative", "uniformity", "effective_rank",
    "gradient_steps", "optimizer_steps", "tokens", "train_seconds", "cpu_seconds", "sequential_flops",
    "parameters", "learning_rate", "encoder", "final",
]  # fmt: skip

METRICS = ("accuracy", "loss", "bits")
DRIFTS = ("mean", "equilibrium", "relative")
RESULTS = "*/*/*/*/result.json"
"""Of finished stages: method, difficulty, seed, stage; those of tuning runs lie deeper."""
BEGUN = ("origins.json", "budget.json")
"""Files of a stage that has begun; before it is timed it has the first alone, older ones have the second alone."""
REFERENCE_LINES = ("chance", "shortcut_accuracy", "best_possible", "unigram_entropy", "bigram_entropy")


def to_rows(results: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """All finished stages as a table.

    Args:
        results: of `read_results`.

    Returns:
        One row per (experiment, method, difficulty, seed, evaluation difficulty) with `COLUMNS`, and a column `folder`
        of the stage. Beside the methods, which are `final`, there are rows for what their stages were worth before the
        last one, at the cost until then: `teacher` (when the last stage that trains it has ended), and `smt` for a
        method of stages smt and dmt. Their names begin with the method's, unless it alone trains a teacher.

    Raises:
        ValueError: where two folders hold the same run.
    """
    experiments: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        experiments.setdefault(result["experiment"], []).append(result)
    rows: list[dict[str, Any]] = []
    for own in experiments.values():
        methods = {result["method"] for result in own}
        without_rnn = {(result["method"], result["stage"]) for result in own if not has_rnn(result)}
        taught_by = teaching_stages(own)
        with_teacher = methods_with_teacher(own)
        for result in own:
            teaching = taught_by.get(run_of(result)) == result["stage"]
            alone = with_teacher == {result["method"]}
            rows += rows_of(result, methods, without_rnn, teaching, alone)
    table = pd.DataFrame(rows, columns=[*COLUMNS, "folder"])
    table = table.astype(dict.fromkeys((*METRICS, *REFERENCE_LINES), float))  # undefined ones are NaN
    keys = ["experiment", "difficulty", "evaluation_difficulty", "method", "seed"]
    refuse_duplicates(table, keys)
    return table.sort_values(keys, kind="stable").reset_index(drop=True)


def refuse_duplicates(table: pd.DataFrame, keys: list[str]) -> None:
    """Refuse rows that would count one seed twice."""
    for (experiment, *_), same in table.groupby(keys, dropna=False)["folder"]:
        if len(same) > 1:
            raise ValueError(
                f"{same.iloc[0]} and {same.iloc[1]} hold the same method, difficulty and seed of experiment "
                f"{experiment}; compare only one of them."
            )


def nothing_finished(directory: Path) -> bool:
    """Whether a result folder has no result yet."""
    return not any(directory.glob(RESULTS))


def read_results(directories: Iterable[Path]) -> list[dict[str, Any]]:
    """The results of result folders, each with the `folder` of its stage, without those of tuning runs.

    Args:
        directories: folders that `memtrain run` has filled.

    Raises:
        FileNotFoundError: where one has no results.
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
        found += [read_json(path) | {"folder": path.parent} for path in paths]
    return found


def read_unfinished(directories: Iterable[Path], results: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The runs that have begun and have no result of their last stage: still at work, killed or diverged.

    Args:
        directories: folders that `memtrain run` has filled.
        results: what `read_results` has read there before: a run that has ended since is unfinished in both.

    Returns:
        One row a run with columns experiment, method, difficulty (NaN where there is none) and seed.
    """
    ended = {result["folder"].parent for result in results if result["stage"] == result["stages"][-1]}
    found = []
    for directory in directories:
        experiment = next(result["experiment"] for result in results if result["folder"].is_relative_to(directory))
        begun = {path.parents[1] for name in BEGUN for path in directory.glob(f"*/*/*/*/{name}")}
        for folder in sorted(begun - ended):
            method, difficulty, seed = folder.parts[-3:]
            number = float("nan") if difficulty == "any" else float(difficulty)
            found.append((experiment, method, number, int(seed)))
    return pd.DataFrame(found, columns=["experiment", "method", "difficulty", "seed"])


def methods_with_teacher(results: Iterable[Mapping[str, Any]]) -> set[str]:
    """The methods that train a teacher on the way."""
    return {r["method"] for r in results if r["encoder"] is not None}


def has_rnn(result: Mapping[str, Any]) -> bool:
    """Whether a stage ends with an RNN that can be read."""
    return any("rollout/loss" in evaluation["metrics"] for evaluation in result["evaluations"])


def run_of(result: Mapping[str, Any]) -> tuple[str, float, int]:
    """What the stages of one run have in common."""
    return result["method"], result["difficulty"], result["seed"]


def teaching_stages(results: Iterable[Mapping[str, Any]]) -> dict[tuple[str, float, int], str]:
    """The last finished stage of each run that trains its teacher: SMT may go on after a stage on easier data.

    Results of before stages were recorded to train the teacher or not have one that does, the first.
    """
    found: dict[tuple[str, float, int], str] = {}
    for result in sorted(results, key=lambda result: result["stages"].index(result["stage"])):
        if result.get("trains_teacher", result["stage"] == result["stages"][0]):
            found[run_of(result)] = result["stage"]
    return found


def rows_of(
    result: Mapping[str, Any], methods: set[str], without_rnn: set[tuple[str, str]], teaching: bool, alone: bool
) -> list[dict[str, Any]]:
    """The rows of one stage.

    Args:
        result: content of its `result.json`.
        methods: names of all methods.
        without_rnn: method and name of each stage that trains a teacher alone.
        teaching: whether it is the last stage of its run that trains the teacher.
        alone: whether its method is the only one that trains a teacher, so that `teacher` says which.
    """
    rows = []
    stages = result["stages"]
    position = stages.index(result["stage"])
    for evaluation in result["evaluations"]:
        metrics = evaluation["metrics"]
        if teaching and "teacher/loss" in metrics:
            name = "teacher" if alone else f"{result['method']}:teacher"
            rows.append(row(result, evaluation, name, "teacher") | {"final": False})
        if "rollout/loss" in metrics:
            final = position == len(stages) - 1
            trained = [name for name in stages[: position + 1] if (result["method"], name) not in without_rnn]
            name = result["method"] if final else "_".join(trained)
            if not final and (not alone or name in methods):
                name = f"{result['method']}:{name}"
            rows.append(row(result, evaluation, name, "rollout") | {"final": final})
    return rows


def row(result: Mapping[str, Any], evaluation: Mapping[str, Any], method: str, kind: str) -> dict[str, Any]:
    """One row.

    Args:
        result: content of a stage's `result.json`.
        evaluation: its entry for one evaluation difficulty.
        method: what the row is called.
        kind: `teacher` (the encoder with the decoder as its readout) or `rollout` (the RNN alone).
    """
    metrics, counters = evaluation["metrics"], result["counters"]
    rollout = kind == "rollout"
    return {
        "experiment": result["experiment"],
        "method": method,
        "difficulty_name": result["difficulty_name"],
        "difficulty": result["difficulty"],
        "evaluation_difficulty": evaluation["difficulty"],
        "seed": result["seed"],
        **{name: metrics[f"{kind}/{name}"] for name in METRICS},
        **{name: evaluation["reference_lines"].get(name) for name in REFERENCE_LINES},
        **{f"drift_{name}": metrics.get(f"drift/{name}") if rollout else None for name in DRIFTS},
        "uniformity": metrics.get("memory/uniformity"),
        "effective_rank": metrics.get("memory/effective_rank"),
        "gradient_steps": counters["gradient_steps"] if rollout else 0,
        "optimizer_steps": counters["steps"],
        "tokens": counters["tokens"],
        "train_seconds": counters["train_seconds"],
        "cpu_seconds": counters["cpu_seconds"],
        "sequential_flops": counters["sequential_flops"],
        "parameters": result["parameters"]["rnn" if rollout else "teacher"],
        "learning_rate": result["learning_rate"],
        "encoder": result["encoder"],
        "folder": result["folder"],
    }
