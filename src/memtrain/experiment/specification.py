"""The experiment file: what it may say."""

from dataclasses import dataclass, field
from typing import Literal

from memtrain.experiment.options import number

Number = int | float


def whole(number: Number) -> Number:
    """8 for 8.0, so that one difficulty has one name, however YAML or the parser reads it."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


@dataclass(frozen=True)
class Difficulty:
    """What makes the data harder.

    Args:
        key: option of the data module that is varied, for example length.
        values: its values in training, one run each.
    """

    key: str
    values: list[Number]

    def __post_init__(self) -> None:
        """Name each value in one way."""
        object.__setattr__(self, "values", [whole(value) for value in self.values])


@dataclass(frozen=True)
class Stage:
    """One training stage.

    Args:
        model: `class_path` and `init_args` of the module; seed, vocabulary size and source are set by the runner.
        trainer: Trainer options of this stage, over those of the experiment.
        data: options of the data in this stage, over those of the experiment and its difficulty, as {length: 64}:
            easier data first (a curriculum). Results are read on the experiment's own data. The stage's validations
            are not, and are left out of learning curves.
        share: this stage's part of the budget, relative to the other stages of its method.
    """

    model: dict
    trainer: dict = field(default_factory=dict)
    data: dict = field(default_factory=dict)
    share: float = 1.0


@dataclass(frozen=True)
class Budget:
    """What each method may spend on training, the same for all: seconds or steps.

    Args:
        seconds: training seconds; turned into steps by timing, once for all seeds of a method, before the runs (on a
            CPU in CPU seconds of the process, so that other work on the machine takes no steps from a run).
        steps: optimizer steps.
    """

    seconds: float | None = None
    steps: int | None = None


@dataclass(frozen=True)
class EqualFlops:
    """Methods that are trained for as many sequential FLOPs as another, in place of the budget.

    Their number of steps follows from what a step of each costs, so that their schedules end there.

    Args:
        reference: the method that is trained under the budget.
        methods: those that take its sequential FLOPs; one that is to be seen at both budgets has two names.
    """

    reference: str
    methods: list[str]


@dataclass(frozen=True)
class Evaluation:
    """How the last checkpoint of each stage is read.

    Args:
        samples: test samples.
        difficulties: difficulties to read every run at, beside its own.
    """

    samples: int = 1024
    difficulties: list[Number] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Name each value in one way."""
        object.__setattr__(self, "difficulties", [whole(value) for value in self.difficulties])


@dataclass(frozen=True)
class Grid:
    """Options to choose on the validation split, before the runs.

    Args:
        options: for each method the options to choose, each with the values to try; all combinations are tried. An
            option is named `STAGE.model.NAME`; `*.model.NAME`: the same value in all stages of the method that have it;
            `data.NAME`, as data.batch_size; or `network.NAME`, as network.width. NAME may go deeper: windows.starts.
        seeds: seeds of the tuning runs, none of them among the experiment's own.
        difficulty: difficulty to tune at; null: each one on its own.
        unequal: whether methods may have different numbers of trials; one that `options` does not name has none.
        at_chance: what if no trial of a method leaves chance. stop: nothing is compared; file: its runs take the
            file's own options, to be said before the trials are seen.
    """

    options: dict[str, dict[str, list]]
    seeds: list[int]
    difficulty: Number | None = None
    unequal: bool = False
    at_chance: Literal["stop", "file"] = "stop"

    def __post_init__(self) -> None:
        """Name the difficulty as `Difficulty` does, and read numbers that YAML takes for words."""
        numbers = {
            method: {name: [number(value) for value in values] for name, values in own.items()}
            for method, own in self.options.items()
        }
        object.__setattr__(self, "options", numbers)
        if self.difficulty is not None:
            object.__setattr__(self, "difficulty", whole(self.difficulty))


@dataclass(frozen=True)
class Slurm:
    """What `memtrain run --launcher slurm` asks a cluster for; processes, machines and GPUs follow from `trainer`.

    Args:
        partition: queue to wait in; null: the cluster's own choice.
        hours: limit of one turn, after which a run goes back to the queue and continues from its last checkpoint.
        cpus: processor cores of each process; more than 1 only where the data use `workers`.
        memory: of each machine, as 16G; null: the cluster's own choice.
        requeue: whether a run that reaches the limit, or loses its machine, goes back to the queue.
        options: further options of sbatch, as {account: lab, qos: high}.
        setup: shell lines before each run, as `module load cuda`.
    """

    partition: str | None = None
    hours: float = 4.0
    cpus: int = 2
    memory: str | None = None
    requeue: bool = True
    options: dict[str, str | int] = field(default_factory=dict)
    setup: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Experiment:
    """An experiment: methods, each a chain of stages, trained on the same data under the same budget.

    Args:
        name: a word of letters, digits, `_`, `-` and `.`; results go to runs/<name> by default.
        claim: what the experiment is to show, in one sentence.
        data: `class_path` and `init_args` of the data module.
        difficulty: the option of the data that is varied; null: the data as they are.
        network: sizes and cell of every module that sets no `network` of its own.
        trainer: Trainer options of all stages.
        stages: the stages that methods are made of, by name.
        methods: for each method the names of its stages; each stage starts from the checkpoint of the one before.
        budget: what each method may spend.
        equal_sequential_flops: methods that spend what another one does; null: none.
        evaluation: how checkpoints are read.
        family: the pairs of methods that are compared at each difficulty, as [[smt_dmt, bptt]]; null: each two.
            The more pairs, the more seeds a verdict needs, so declare those that the claim is about, before the runs:
            a family that not all runs were started with does not count.
        solved_at: accuracy in 0..1 from which on a run has solved its task, as 0.95, where runs solve it or stay at
            chance: methods are then compared by how many seeds solve it; null: by the seeds' accuracies or losses.
        seeds: one run each.
        grid: options to choose from; null: those of the file.
        measurement: in place of everything from `data` to `grid`: `class_path` of a function and its `init_args`.
        slurm: what to ask a cluster for.
    """

    name: str
    claim: str
    data: dict = field(default_factory=dict)
    difficulty: Difficulty | None = None
    network: dict | None = None
    trainer: dict = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)
    methods: dict[str, list[str]] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    equal_sequential_flops: EqualFlops | None = None
    evaluation: Evaluation = field(default_factory=Evaluation)
    family: list[list[str]] | None = None
    solved_at: float | None = None
    seeds: list[int] = field(default_factory=lambda: [0])
    grid: Grid | None = None
    measurement: dict | None = None
    slurm: Slurm = field(default_factory=Slurm)

    def reference_of(self, method: str) -> str | None:
        """The method whose sequential FLOPs this one takes; None: it has the budget."""
        equal = self.equal_sequential_flops
        return equal.reference if equal is not None and method in equal.methods else None

    @property
    def difficulties(self) -> list[Number | None]:
        """The training difficulties; `[None]` where there is none."""
        return [*self.difficulty.values] if self.difficulty else [None]
