"""What a stage leaves: the one schema of `result.json`, written and read here alone."""

from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError

from memtrain.costs import Counters
from memtrain.files import read_json, write_json
from memtrain.parsing import SentenceParser, sentence

Metrics = dict[str, float | None]
"""Values by name; None where one is not finite."""
LOGGED = {"rnn": "rollout"}
"""Prefixes of logged metrics that are not the name of the reading: what is read of an RNN is its rollout."""


@dataclass(frozen=True)
class Score:
    """What methods are compared by.

    Args:
        name: of a metric of the readings, as accuracy.
        higher_is_better: whether more of it is better.
    """

    name: str
    higher_is_better: bool


@dataclass(frozen=True)
class Evaluation:
    """What a stage is worth at one difficulty.

    Args:
        split: val or test.
        readings: metrics of each of the stage's models, by the name of the reading: `{"rnn": {"loss": 0.5}}`.
        diagnostics: all other metrics, by their whole names, as drift/relative.
        reference_lines: what the data say about themselves, as chance.
        difficulty: of the data that the stage is read on; None where they have none.
        standard_errors: of the means of the reading that is compared, sequences being the units; of tuning runs alone.
    """

    split: str
    readings: dict[str, Metrics]
    diagnostics: Metrics
    reference_lines: Metrics
    difficulty: int | float | None = None
    standard_errors: Metrics = field(default_factory=dict)


@dataclass(frozen=True)
class StageResult:
    """The result of one stage of a run.

    Args:
        experiment: name of the experiment.
        method: name of the method.
        stages: names of all stages of the method.
        stage: name of this one.
        seed: of the run.
        module: class of the stage's module.
        score: what methods are compared by.
        reading: the reading that is compared: of the model that the stage is for. The others are of its helpers.
        trained: names of the readings whose models the stage has trained.
        parameters: number of parameters of each reading's model.
        learning_rate: of the stage.
        data: options of the data that are the stage's own.
        costs: up to the end of the stage.
        evaluations: at each evaluation difficulty, that of training first.
        fingerprint: hash of all that the result depends on.
        recipe: the same but for the seed.
        conditions: hash of what runs must have in common to be compared.
        provenance: of the process that has finished the stage.
        continued_from: provenance of the processes that had worked on the stage before.
        difficulty_name: option of the data that the experiment varies; None where it varies none.
        difficulty: its value in training.
        encoder: attention of the teacher's encoder; None where there is no teacher.
        warmup_steps: those that the stage had, which may be fewer than were given; None: not recorded.
        options: those of the run in place of the file's, by the names of `grid.options`.
        trials: tuning runs that these were chosen from.
    """

    experiment: str
    method: str
    stages: list[str]
    stage: str
    seed: int
    module: str
    score: Score
    reading: str
    trained: list[str]
    parameters: dict[str, int]
    learning_rate: float
    data: dict[str, Any]
    costs: Counters
    evaluations: list[Evaluation]
    fingerprint: str
    recipe: str
    conditions: str
    provenance: dict[str, Any]
    continued_from: list[dict[str, Any]] = field(default_factory=list)
    difficulty_name: str | None = None
    difficulty: int | float | None = None
    encoder: str | None = None
    warmup_steps: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    trials: int = 0

    @property
    def position(self) -> int:
        """Of the stage in its method, from 0."""
        return self.stages.index(self.stage)

    @property
    def is_last(self) -> bool:
        """Whether the method ends with this stage."""
        return self.position == len(self.stages) - 1


@dataclass(frozen=True)
class DivergedStage:
    """What a diverged tuning run leaves in place of results: the same in its stage and in all stages after it.

    Args:
        diverged: what has happened, in one sentence.
        fingerprint: hash of all that the result depends on.
    """

    diverged: str
    fingerprint: str


def write_result(path: Path, result: StageResult | DivergedStage) -> None:
    """Write the result of a stage in one step."""
    write_json(path, asdict(result))


def read_result(path: Path) -> StageResult | DivergedStage | None:
    """Read what `write_result` has written; None where there is no such file.

    Raises:
        ValueError: where the file is something else, or was written by another version of memtrain.
    """
    content = read_json(path)
    if content is None:
        return None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no result of a stage; remove {path.parent}, and run it again.")
    kind = DivergedStage if "diverged" in content else StageResult
    reader = reader_of(kind.__name__)
    try:
        return kind(**reader.instantiate(reader.parse_object(content)))
    except ArgumentError as error:
        raise ValueError(
            f"{path} is no result of this version of memtrain ({sentence(error)}); remove {path.parent}, and run it "
            "again."
        ) from None


@cache
def reader_of(name: str) -> SentenceParser:
    """Reads a dataclass of this file from its primitives; refuses missing and unknown fields and other types."""
    reader = SentenceParser()
    reader.add_class_arguments({"StageResult": StageResult, "DivergedStage": DivergedStage}[name])
    return reader
