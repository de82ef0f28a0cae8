"""What is known of a checkpoint's results: from the files that its run has left beside it."""

import csv
from dataclasses import dataclass
from pathlib import Path

from memtrain.costs import Counters
from memtrain.files import LAST_CHECKPOINT
from memtrain.results import StageResult, read_result


@dataclass(frozen=True)
class Reading:
    """A number that was read of the checkpoint's networks.

    Attributes:
        split: val or test.
        difficulty: of the data that it was read on, as text; empty where they have none.
        name: of the metric, with that of the network: rnn/accuracy.
        value: as it was read.
    """

    split: str
    difficulty: str
    name: str
    value: float


def results_beside(checkpoint: Path, counters: Counters) -> list[Reading]:
    """The results of the optimizer step that a checkpoint was made at.

    `memtrain run` leaves them in `result.json`, `memtrain fit` its last validation in `metrics.csv`.

    Args:
        checkpoint: in the folder `checkpoints` of its stage.
        counters: its costs.
    """
    folder = checkpoint.absolute().parents[len(LAST_CHECKPOINT.parts) - 1]
    try:
        result = read_result(folder / "result.json")
    except ValueError:  # of another version of memtrain
        result = None
    if isinstance(result, StageResult) and result.costs.steps == counters.steps:
        return [
            Reading(e.split, difficulty_of(result, e.difficulty), f"{reading}/{name}", value)
            for e in result.evaluations
            for reading, metrics in e.readings.items()
            for name, value in metrics.items()
            if value is not None
        ]
    return last_validation(folder / "metrics.csv", counters.steps)


def difficulty_of(result: StageResult, value: float | None) -> str:
    """A difficulty with its name: `length 256`."""
    return "" if value is None else f"{result.difficulty_name} {value}"


def last_validation(table: Path, steps: int) -> list[Reading]:
    """The validation after `steps` optimizer steps over all stages; nothing where there was none."""
    if not table.is_file():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if (row.get("cost/steps") or "0") != "0"]
    for row in reversed(rows):
        read = {name.removeprefix("val/"): value for name, value in row.items() if name.startswith("val/") and value}
        if read and float(row["cost/steps"]) == steps:
            return [Reading("val", "", name, float(value)) for name, value in read.items()]
    return []
