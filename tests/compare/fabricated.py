"""Result folders as `memtrain run` leaves them, without training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from memtrain.compare import read_results, to_rows
from memtrain.costs import Counters
from memtrain.results import Evaluation, Metrics, Score, StageResult, write_result

ACCURACIES = {
    "teacher": [1.0, 0.98, 0.99],
    "after smt": [0.2, 0.3, 0.25],
    "smt_dmt": [0.97, 0.96, 0.98],
    "bptt": [0.13, 0.12, 0.125],
}
PROBE = {"chance": 0.125, "best_possible": 1.0}
DRIFT = {"drift/mean": 0.5, "drift/equilibrium": 0.4, "drift/relative": 0.1, "memory/uniformity": -3.0}


def reading(accuracy: float) -> Metrics:
    return {"accuracy": accuracy, "loss": 1 - accuracy, "bits": (1 - accuracy) * 1.4427}


def rnn(accuracy: float) -> dict[str, Metrics]:
    """The readings of a stage that has an RNN alone."""
    return {"rnn": reading(accuracy)}


def both(teacher: float, accuracy: float) -> dict[str, Metrics]:
    """The readings of a stage that has a teacher too."""
    return {"teacher": reading(teacher), "rnn": reading(accuracy)}


def leave(
    directory: Path,
    method: str,
    stages: list[str],
    position: int,
    seed: int,
    readings: dict[str, Metrics],
    diagnostics: Metrics | None = None,
    **changes: Any,
) -> None:
    """A finished stage, of 100 steps and 10 seconds, with two validations, read at lengths 128 and 256.

    Its model is that of the last reading. The first stage of a method trains all, the others that one alone.
    """
    stage, last = stages[position], list(readings)[-1]
    folder = directory / method / "128" / str(seed) / stage
    result = StageResult(
        experiment="fabricated",
        method=method,
        stages=stages,
        stage=stage,
        difficulty_name="length",
        difficulty=128,
        seed=seed,
        module=f"memtrain.training.{'BPTT' if stage.startswith('bptt') else 'SMT'}Module",
        score=Score("accuracy", True),
        reading=last,
        trained=list(readings) if position == 0 else [last],
        parameters={name: 200 if name == "teacher" else 100 for name in readings},
        learning_rate=1e-3,
        encoder="causal" if "teacher" in readings else None,
        data={},
        costs=Counters(
            steps=100 * (position + 1),
            tokens=12_800 * (position + 1),
            train_seconds=10.0 * (position + 1),
            cpu_seconds=11.0 * (position + 1),
            sequential_flops=1_000,
            gradient_steps=1 if stage == "smt" else 128,
        ),
        evaluations=[Evaluation("test", readings, diagnostics or {}, PROBE, length) for length in (128, 256)],
        fingerprint="f",
        recipe="r",
        conditions="c",
        provenance={"commit": "c0ffee", "versions": {"torch": "2"}, "hardware": {"processor": "abacus"}},
    )
    write_result(folder / "result.json", replace(result, **changes))
    start = 10 * position
    rows = [f"{49},{start + 5},{0.1}", f"{99},{start + 10},{readings[last].get('accuracy')}"]
    (folder / "metrics.csv").write_text("\n".join(["step,cost/train_seconds,val/rollout/accuracy", *rows]))


def without_difficulty(readings: dict[str, Metrics], lines: Metrics) -> dict[str, Any]:
    """Changes of a stage whose data have no difficulty."""
    evaluation = Evaluation("test", readings, {}, lines)
    return {"difficulty": None, "difficulty_name": None, "evaluations": [evaluation]}


def fabricate(directory: Path, seeds: int = 3) -> Path:
    for seed in range(seeds):
        found = {name: values[seed] for name, values in ACCURACIES.items()}
        smt = both(found["teacher"], found["after smt"])
        dmt = both(found["teacher"], found["smt_dmt"])
        leave(directory, "smt_dmt", ["smt", "dmt"], 0, seed, smt, diagnostics=DRIFT)
        leave(directory, "smt_dmt", ["smt", "dmt"], 1, seed, dmt, diagnostics=DRIFT)
        leave(directory, "bptt", ["bptt"], 0, seed, rnn(found["bptt"]))
    return directory


COLUMNS = "step,cost/tokens,cost/train_seconds,cost/sequential_flops,val/rollout/accuracy,val/rollout/loss"


def write_points(folder: Path, points: list[tuple[int, float, int, float | str, float | str]]) -> None:
    """A stage's `metrics.csv` of a training step and validation points: tokens, seconds, FLOPs, accuracy, loss."""
    rows = [f"{step},{','.join(map(str, point))}" for step, point in enumerate(points)]
    (folder / "metrics.csv").write_text("\n".join([COLUMNS, "0,,,,,", *rows]) + "\n")


def table_of(*folders: Path) -> pd.DataFrame:
    """The rows that `compare` makes of result folders."""
    return to_rows(read_results(folders))
