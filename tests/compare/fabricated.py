"""Result folders as `memtrain run` leaves them, without training."""

from pathlib import Path
from typing import Any

import pandas as pd

from memtrain.compare import read_results, to_rows
from memtrain.files import write_json

ACCURACIES = {
    "teacher": [1.0, 0.98, 0.99],
    "smt": [0.2, 0.3, 0.25],
    "smt_dmt": [0.97, 0.96, 0.98],
    "bptt": [0.13, 0.12, 0.125],
}


def write_result(
    directory: Path, method: str, stages: list[str], position: int, seed: int, metrics: dict[str, float], **changes: Any
) -> None:
    """A finished stage, of 100 steps and 10 seconds, with two validations."""
    stage = stages[position]
    folder = directory / method / "128" / str(seed) / stage
    folder.mkdir(parents=True, exist_ok=True)
    result = {
        "fingerprint": "f",
        "experiment": "fabricated",
        "method": method,
        "stage": stage,
        "stages": stages,
        "difficulty_name": "length",
        "difficulty": 128,
        "seed": seed,
        "learning_rate": 1e-3,
        "encoder": "causal" if "smt" in stages else None,
        "provenance": {"commit": "c0ffee", "versions": {"torch": "2"}, "hardware": {"processor": "abacus"}},
        "parameters": {"teacher": 200, "rnn": 100} if "smt" in stages else {"rnn": 100},
        "counters": {
            "steps": 100 * (position + 1),
            "tokens": 12_800 * (position + 1),
            "train_seconds": 10.0 * (position + 1),
            "cpu_seconds": 11.0 * (position + 1),
            "sequential_flops": 1_000,
            "gradient_steps": 1 if stage == "smt" else 128,
        },
        "evaluations": [
            {
                "difficulty": length,
                "split": "test",
                "metrics": metrics,
                "reference_lines": {"chance": 0.125, "best_possible": 1.0},
            }
            for length in (128, 256)
        ],
    }
    write_json(folder / "result.json", result | changes)
    start = 10 * position
    rows = [f"{49},{start + 5},{0.1}", f"{99},{start + 10},{metrics.get('rollout/accuracy', 0)}"]
    (folder / "metrics.csv").write_text("\n".join(["step,cost/train_seconds,val/rollout/accuracy", *rows]))


def reading(kind: str, accuracy: float) -> dict[str, float]:
    return {f"{kind}/accuracy": accuracy, f"{kind}/loss": 1 - accuracy, f"{kind}/bits": (1 - accuracy) * 1.4427}


def fabricate(directory: Path, seeds: int = 3) -> Path:
    for seed in range(seeds):
        found = {name: values[seed] for name, values in ACCURACIES.items()}
        drift = {"drift/mean": 0.5, "drift/equilibrium": 0.4, "drift/relative": 0.1, "memory/uniformity": -3.0}
        smt = reading("teacher", found["teacher"]) | reading("rollout", found["smt"]) | drift
        dmt = reading("teacher", found["teacher"]) | reading("rollout", found["smt_dmt"]) | drift
        write_result(directory, "smt_dmt", ["smt", "dmt"], 0, seed, smt)
        write_result(directory, "smt_dmt", ["smt", "dmt"], 1, seed, dmt)
        write_result(directory, "bptt", ["bptt"], 0, seed, reading("rollout", found["bptt"]))
    return directory


COLUMNS = "step,cost/tokens,cost/train_seconds,cost/sequential_flops,val/rollout/accuracy,val/rollout/loss"


def write_points(folder: Path, points: list[tuple[int, float, int, float | str, float | str]]) -> None:
    """A stage's `metrics.csv` of a training step and validation points: tokens, seconds, FLOPs, accuracy, loss."""
    rows = [f"{step},{','.join(map(str, point))}" for step, point in enumerate(points)]
    (folder / "metrics.csv").write_text("\n".join([COLUMNS, "0,,,,,", *rows]) + "\n")


def table_of(*folders: Path) -> pd.DataFrame:
    """The rows that `compare` makes of result folders."""
    return to_rows(read_results(folders))
