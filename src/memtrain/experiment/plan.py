"""From an experiment to its runs, and from a run to the complete configuration of each of its stages."""

import hashlib
import inspect
import itertools
import json
import pydoc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from jsonargparse import ArgumentError

from memtrain.data import SequenceDataModule
from memtrain.data.sources import describe_files, files_under
from memtrain.experiment.specification import Experiment, Number
from memtrain.fit import resolve
from memtrain.networks import Interface
from memtrain.parsing import SentenceParser, sentence
from memtrain.training import StageModule

Rates = Mapping[str, float]
"""Learning rates by stage; a stage that is not in it keeps the file's."""

RUN_TRAINER = {
    "num_sanity_val_steps": 0,
    "val_check_interval": None,  # so many in a stage; see `memtrain.experiment.execution`
    "limit_val_batches": 1,  # enough for a learning curve; results are read on all samples
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
"""Trainer options of a run, unless the experiment sets them."""


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


@dataclass(frozen=True)
class StagePlan:
    """One stage of a run, as far as it is known before training.

    Args:
        name: name of the stage.
        folder: folder of the stage, below the experiment's.
        configuration: everything `memtrain fit` needs, but the number of steps and the checkpoint to start from.
        share: part of the method's budget, in (0, 1].
        fingerprint: hash of all that the stage's result depends on, the stages before it included.
        recipe: the same but for the seed.
    """

    name: str
    folder: Path
    configuration: dict[str, Any]
    share: float
    fingerprint: str
    recipe: str


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


def plan_stages(experiment: Experiment, run: Run, rates: Rates) -> list[StagePlan]:
    """The stages of a run.

    Args:
        experiment: the experiment.
        run: one of its runs.
        rates: learning rates that replace the file's.

    Raises:
        ValueError: where an option of a stage's model, data or trainer is unknown or of another type.
    """
    names = experiment.methods[run.method]
    shares = [experiment.stages[name].share for name in names]
    plans: list[StagePlan] = []
    for name, share in zip(names, shares, strict=True):
        stage_rates = {"learning_rate": rates[name]} if name in rates else {}
        configuration = stage_configuration(experiment, name, run, stage_rates, first=not plans)
        share = share / sum(shares)
        identity = {
            "configuration": configuration,
            "budget": [experiment.budget.seconds, experiment.budget.steps, share],
            "evaluation": [experiment.evaluation.samples, experiment.evaluation.difficulties, bool(run.rates)],
            "source": plans[-1].fingerprint if plans else None,
        }
        if code := own_code(configuration):
            identity["code"] = code
        if files := own_files(configuration):
            identity["files"] = files
        seedless = {
            **identity,
            "configuration": {**configuration, "seed_everything": None},
            "source": plans[-1].recipe if plans else None,
        }
        plans.append(StagePlan(name, run.folder / name, configuration, share, digest(identity), digest(seedless)))
    return plans


def own_code(configuration: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the source files of the classes of a stage's model and data that are not memtrain's own.

    A cell that has been changed since gives other results under the same name. Only the file of the class itself is
    read, not what it imports.
    """
    found: dict[str, str] = {}

    def look(content: Any) -> None:
        if isinstance(content, dict):
            name = content.get("class_path")
            if isinstance(name, str) and not name.startswith("memtrain."):
                file = Path(inspect.getfile(cast(type, pydoc.locate(name))))  # of the class, not of what re-exports it
                found[name] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
            for entry in content.values():
                look(entry)

    look(configuration["model"])
    look(configuration["data"])
    return found


def own_files(configuration: Mapping[str, Any]) -> str | None:
    """Hash of names, sizes and times of change of the local files that a stage's data read, by their option `path`."""
    path = configuration["data"]["init_args"].get("path")
    local = Path(path).expanduser() if isinstance(path, str) else None
    if local is None or not local.exists():
        return None  # of the hub, or to be refused when the data are prepared
    return files_hash(local, local.stat().st_mtime_ns)


@cache
def files_hash(path: Path, changed: int) -> str:
    """Hash of all files of a folder, or of a file; remembered until its own time of change, in ns, is another."""
    return digest([[Path(file).name, *size_and_time] for file, *size_and_time in describe_files(files_under(path))])


def check_modules(runs: Iterable[Sequence[StagePlan]]) -> None:
    """Build each of the stages' modules once, so that one that does not work is refused before anything is trained.

    Args:
        runs: the stages of each run.

    Raises:
        ValueError: saying what is wrong with it.
    """
    parser = SentenceParser()
    parser.add_subclass_arguments(StageModule, "model", fail_untyped=False)
    built: set[str] = set()
    for plans in runs:
        network: Any = None
        for plan in plans:
            model, size = plan.configuration["model"], plan.configuration["data"]["init_args"].get("batch_size")
            options = {**model["init_args"], "interface": Interface.of_tokens(2).to_primitive()}
            network = options["network"] = options.get("network") or network  # null: that of the stage before
            if options.pop("init_from", None) and network is None:
                break  # that of a checkpoint
            text = json.dumps([model["class_path"], options, size], sort_keys=True)
            if text in built:
                continue
            built.add(text)
            try:
                module = parser.instantiate(parser.parse_object({"model": {**model, "init_args": options}})).model
            except (ArgumentError, ValueError) as error:
                raise ValueError(f"stages.{plan.name}: {sentence(error)}") from None
            if size is not None and size % module.micro_batches:
                raise ValueError(
                    f"stages.{plan.name}: model.micro_batches is {module.micro_batches}, but data.batch_size is "
                    f"{size}; choose a divisor of it."
                )


def conditions(experiment: Experiment) -> str:
    """Hash of what runs must have in common to be compared: data, budget and evaluation."""
    budget, evaluation = experiment.budget, experiment.evaluation
    return digest([experiment.data, budget.seconds, budget.steps, evaluation.samples])


def digest(content: Any) -> str:
    """A short hash of JSON-like content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def stage_configuration(
    experiment: Experiment, name: str, run: Run, rates: Mapping[str, float], first: bool
) -> dict[str, Any]:
    """The configuration of one stage of a run, with all defaults written out."""
    stage = experiment.stages[name]
    model = {**stage.model, "init_args": dict(stage.model.get("init_args", {}))}
    if first and experiment.network is not None:
        model["init_args"].setdefault("network", experiment.network)
    trainer = {**RUN_TRAINER, **experiment.trainer, **stage.trainer}
    data = data_configuration(experiment, experiment.difficulties[0], stage.data)
    try:
        configuration = json.loads(resolved(json.dumps({"trainer": trainer, "model": model, "data": data})))
    except ValueError as error:
        raise ValueError(f"stages.{name}: {error}") from None
    # Runs differ in these alone, so that one look at a stage's options is enough for all of its runs.
    configuration["seed_everything"] = run.seed
    configuration["model"]["init_args"].update(rates)
    if experiment.difficulty is not None and experiment.difficulty.key not in stage.data:
        configuration["data"]["init_args"][experiment.difficulty.key] = run.difficulty
    return configuration


@cache
def resolved(configuration: str) -> str:
    """`resolve` from JSON to JSON, remembered."""
    try:
        return json.dumps(resolve(json.loads(configuration)))
    except ArgumentError as error:
        raise ValueError(sentence(error)) from None


def data_configuration(
    experiment: Experiment, difficulty: Number | None, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The data at one difficulty, evaluated on as many samples as the experiment says, with a stage's own `changes`."""
    changed: dict[str, Any] = {"evaluation_samples": experiment.evaluation.samples}
    if experiment.difficulty is not None:
        changed[experiment.difficulty.key] = difficulty
    return {**experiment.data, "init_args": {**experiment.data.get("init_args", {}), **changed, **(changes or {})}}


def build_data(configuration: Mapping[str, Any]) -> SequenceDataModule:
    """The data module that `class_path` and `init_args` describe.

    Raises:
        ValueError: for unknown options and impossible values.
    """
    parser = SentenceParser()
    parser.add_subclass_arguments(SequenceDataModule, "data", required=True, fail_untyped=False)
    try:
        return parser.instantiate(parser.parse_object({"data": dict(configuration)})).data
    except (ArgumentError, ValueError) as error:
        raise ValueError(sentence(error)) from None


def prepare_data(experiment: Experiment) -> None:
    """Download and convert the data of every difficulty, once, before several runs want them at the same time.

    Raises:
        FileNotFoundError: where a path of the data leads nowhere.
    """
    tuned = [experiment.grid.difficulty] if experiment.grid and experiment.grid.difficulty is not None else []
    difficulties = dict.fromkeys([*experiment.difficulties, *tuned, *experiment.evaluation.difficulties])
    own = [stage.data for stage in experiment.stages.values() if stage.data]
    for difficulty, changes in itertools.product(difficulties, [{}, *own]):
        build_data(data_configuration(experiment, difficulty, changes)).prepare_data()


def evaluation_difficulties(experiment: Experiment, run: Run) -> list[Number | None]:
    """The run's own difficulty, then the others that it is read at."""
    return [run.difficulty, *(d for d in experiment.evaluation.difficulties if d != run.difficulty)]


def check_data(experiment: Experiment) -> None:
    """Refuse data that cannot be built, or whose tokens differ between training and evaluation."""
    if experiment.evaluation.difficulties and experiment.difficulty is None:
        raise ValueError("evaluation.difficulties needs an entry difficulty that names the option they are values of.")
    for trained in experiment.difficulties:
        run = Run("", trained, 0)
        sizes = {
            difficulty: build_data(data_configuration(experiment, difficulty)).vocabulary_size
            for difficulty in evaluation_difficulties(experiment, run)
        }
        for difficulty, size in sizes.items():
            if size != sizes[trained]:
                raise ValueError(
                    f"evaluation.difficulties has {difficulty}, where the data have {size} tokens, but training at "
                    f"{trained} has {sizes[trained]}; leave it out."
                )
        for name, stage in experiment.stages.items():
            if not stage.data:
                continue
            size = build_data(data_configuration(experiment, trained, stage.data)).vocabulary_size
            if size != sizes[trained]:
                raise ValueError(
                    f"stages.{name}.data has {stage.data}, with {size} tokens, but the experiment's data have "
                    f"{sizes[trained]}; change only what keeps their number."
                )
