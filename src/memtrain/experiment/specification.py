"""The experiment file: what it may say, and reading it so that every mistake is found before anything runs."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml
from jsonargparse import ArgumentError

from memtrain.parsing import SentenceParser, sentence

Number = int | float
OWN_FOLDERS = {"tuning": "the folder of the tuning runs", "slurm": "the folder of the cluster's scripts and logs"}
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
"""What may name a folder."""
MEMORY = re.compile(r"[1-9][0-9]*[KMGT]?")
PRINTABLE = re.compile(r"[^\s\"'\\]*")


@dataclass(frozen=True)
class Difficulty:
    """What makes the data harder.

    Args:
        key: option of the data module that is varied, for example length.
        values: its values in training, one run each.
    """

    key: str
    values: list[Number]


@dataclass(frozen=True)
class Stage:
    """One training stage.

    Args:
        model: `class_path` and `init_args` of the module; seed, vocabulary size and source are set by the runner.
        trainer: Trainer options of this stage, over those of the experiment.
        data: options of the data in this stage, over those of the experiment and its difficulty, as {length: 64}:
            easier data first (a curriculum). Results are read on the experiment's own data all the same; the stage's
            validations are not, and so are no part of learning curves.
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
        seconds: training seconds; turned into steps by timing, before a stage starts (on a CPU in CPU seconds of the
            process, so that other work on the machine takes no steps from a run).
        steps: optimiser steps.
    """

    seconds: float | None = None
    steps: int | None = None


@dataclass(frozen=True)
class Evaluation:
    """How the last checkpoint of each stage is read.

    Args:
        samples: test samples.
        difficulties: difficulties to read every run at, beside its own.
    """

    samples: int = 1024
    difficulties: list[Number] = field(default_factory=list)


@dataclass(frozen=True)
class Grid:
    """Learning rates to choose from on the validation split, before the runs.

    Args:
        learning_rates: for each method either a list, tried in all of its stages together, or a list for each of its
            stages, of which all combinations are tried.
        seeds: seeds of the tuning runs, none of them among the experiment's own.
        difficulty: difficulty to tune at; null: each one on its own.
    """

    learning_rates: dict[str, list[float] | dict[str, list[float]]]
    seeds: list[int]
    difficulty: Number | None = None


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
        evaluation: how checkpoints are read.
        seeds: one run each.
        grid: learning rates to choose from; null: those of the stages.
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
    evaluation: Evaluation = field(default_factory=Evaluation)
    seeds: list[int] = field(default_factory=lambda: [0])
    grid: Grid | None = None
    measurement: dict | None = None
    slurm: Slurm = field(default_factory=Slurm)

    @property
    def difficulties(self) -> list[Number | None]:
        """The training difficulties; `[None]` where there is none."""
        return [*self.difficulty.values] if self.difficulty else [None]


def read_experiment(
    file: Path,
    changes: Sequence[str] = (),
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> Experiment:
    """Read an experiment file.

    Args:
        file: the YAML file.
        changes: `KEY=VALUE` each, as `budget.seconds=600`; the value is YAML.
        methods: keep only these methods.
        seeds: use these seeds.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for unknown or contradicting entries. The options of models, data and trainer are checked by
            `memtrain.experiment.plan`, which builds each stage's configuration.
    """
    if not file.is_file():
        raise FileNotFoundError(f"There is no experiment file {file}; name one, as experiments/demo/experiment.yaml.")
    try:
        content = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{file} is no YAML file ({reason}); name one, as experiments/demo/experiment.yaml.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} is no experiment: it needs entries name, claim, data, stages, methods, budget.")
    for change in changes:
        apply_change(content, change)
    parser = SentenceParser()
    parser.add_class_arguments(Experiment)
    try:
        experiment: Experiment = Experiment(**parser.instantiate(parser.parse_object(content)))
    except ArgumentError as error:
        raise ValueError(f"{file}: {sentence(error)}") from None
    if methods is not None:
        unknown = [name for name in methods if name not in experiment.methods]
        if unknown:
            raise ValueError(f"--methods names {unknown[0]}, but {file} has {', '.join(experiment.methods)}.")
        experiment = replace(experiment, methods={name: experiment.methods[name] for name in methods})
    if seeds is not None:
        experiment = replace(experiment, seeds=list(seeds))
    check(experiment)
    return experiment


def apply_change(content: dict, change: str) -> None:
    """Set one entry of a nested dictionary.

    Args:
        content: the file's content, changed in place.
        change: `KEY=VALUE` with the dotted key and a value in YAML.
    """
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise ValueError(f"--set {change} has no value; write KEY=VALUE, for example budget.seconds=600.")
    *parents, last = key.split(".")
    entry = content
    for parent in parents:
        if entry.get(parent) is None:
            entry[parent] = {}
        entry = entry[parent]
        if not isinstance(entry, dict):
            raise ValueError(f"--set {key}: {parent} is {entry!r}, which has no entries.")
    try:
        entry[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(f"--set {change} has a value that is no YAML: {' '.join(str(error).split())}.") from None


def check(experiment: Experiment) -> None:
    """Refuse an experiment whose parts do not fit each other."""
    for option, names in (
        ("name", [experiment.name]),
        ("methods", experiment.methods),
        ("stages", experiment.stages),
    ):
        for name in names:
            if not WORD.fullmatch(name):
                raise ValueError(f"{option} has {name!r}, but names a folder; use letters, digits, _, - and dots.")
    if experiment.measurement is not None:
        return
    budget, grid = experiment.budget, experiment.grid
    if (budget.seconds is None) == (budget.steps is None):
        raise ValueError("budget must have exactly one of seconds and steps, for example budget: {seconds: 150}.")
    if (budget.seconds or budget.steps or 0) <= 0:
        raise ValueError(f"budget is {budget.seconds or budget.steps}, but must be more than 0.")
    for name, entries in (("data", experiment.data), ("methods", experiment.methods), ("seeds", experiment.seeds)):
        if not entries:
            raise ValueError(f"{name} is empty, but an experiment needs it; see experiments/demo/experiment.yaml.")
    for name, stage in experiment.stages.items():
        if stage.share <= 0:
            raise ValueError(f"stages.{name}.share is {stage.share}, but must be more than 0; for example 0.5.")
    for method, stages in experiment.methods.items():
        unknown = [stage for stage in stages if stage not in experiment.stages]
        if unknown or not stages:
            raise ValueError(
                f"methods.{method} names {unknown[0] if unknown else 'no stage'}, "
                f"but stages has {', '.join(experiment.stages)}."
            )
        if method in OWN_FOLDERS:
            raise ValueError(f"methods has a method named {method}, which is {OWN_FOLDERS[method]}; rename it.")
        check_source(method, stages[0], experiment.stages[stages[0]].model)
    check_overwritten(experiment)
    check_slurm(experiment.slurm)
    for option, seeds in (("seeds", experiment.seeds), ("grid.seeds", grid.seeds if grid else [])):
        twice = [seed for seed in seeds if seeds.count(seed) > 1]
        if twice:
            raise ValueError(f"{option} has {twice[0]} twice, but each seed is one run; leave one out.")
    if grid is None:
        return
    for method, rates in grid.learning_rates.items():
        if method not in experiment.methods:
            continue  # left out by --methods
        wrong = set(rates) - set(experiment.methods[method]) if isinstance(rates, dict) else set()
        if wrong:
            raise ValueError(f"grid.learning_rates.{method} names {wrong.pop()}, which is no stage of this method.")
    shared = set(grid.seeds) & set(experiment.seeds)
    if shared:
        raise ValueError(f"grid.seeds has {shared.pop()}, which is among seeds too; tune on a seed of its own.")


def check_source(method: str, stage: str, model: dict) -> None:
    """Refuse a method that begins with a stage that has nothing to begin from."""
    options = model.get("init_args") or {}
    if options.get("init_from") is not None:
        return
    if str(model.get("class_path")).rpartition(".")[2] == "DMTModule":
        raise ValueError(
            f"methods.{method} begins with {stage}, but DMT needs a trained network; put a stage before it."
        )
    if options.get("freeze_teacher"):
        raise ValueError(
            f"methods.{method} begins with {stage}, whose freeze_teacher needs a teacher; put a stage before it."
        )


def check_overwritten(experiment: Experiment) -> None:
    """Refuse options that the runner would replace without a word."""
    options = experiment.data.get("init_args") or {}
    if experiment.difficulty is not None and experiment.difficulty.key in options:
        key = experiment.difficulty.key
        raise ValueError(f"data.init_args.{key} is what difficulty varies; set difficulty.values instead.")
    places = {"data.init_args": options} | {f"stages.{n}.data": s.data for n, s in experiment.stages.items()}
    for place, own in places.items():
        if "evaluation_samples" in own:
            raise ValueError(f"{place}.evaluation_samples is set by the runner; set evaluation.samples instead.")
    trainers = {"trainer": experiment.trainer} | {
        f"stages.{n}.trainer": s.trainer for n, s in experiment.stages.items()
    }
    for name, trainer in trainers.items():
        if "max_steps" in trainer:
            raise ValueError(f"{name}.max_steps is set by the runner; set budget.steps or budget.seconds instead.")
    for method, stages in experiment.methods.items():
        for before, name in itertools.pairwise(stages):
            if (experiment.stages[name].model.get("init_args") or {}).get("init_from") is not None:
                raise ValueError(
                    f"stages.{name}.model.init_args.init_from is given, but methods.{method} has it continue {before}; "
                    f"leave init_from out, or begin the method with {name}."
                )


def check_slurm(slurm: Slurm) -> None:
    """Refuse what no cluster can give."""
    for option, value in (("hours", slurm.hours), ("cpus", slurm.cpus)):
        if value <= 0:
            raise ValueError(f"slurm.{option} is {value}, but must be more than 0; for example 4.")
    if slurm.memory is not None and not MEMORY.fullmatch(slurm.memory):
        raise ValueError(f"slurm.memory is {slurm.memory}, but must be a number and its unit, for example 16G.")
    lines = [*slurm.options, *map(str, slurm.options.values()), slurm.partition or ""]
    broken = next((line for line in lines if not PRINTABLE.fullmatch(line)), None)
    if broken is not None:
        raise ValueError(f"slurm has {broken!r}, which is no word for a line of sbatch; leave out spaces and quotes.")
