"""From a run to the complete configuration of each of its stages, made once and handed on."""

import json
import pydoc
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError

from memtrain.experiment.data import data_configuration
from memtrain.experiment.identity import code_and_files
from memtrain.experiment.options import Options, apply_options
from memtrain.experiment.runs import Run, list_runs
from memtrain.experiment.specification import Experiment
from memtrain.files import digest
from memtrain.fit import resolve
from memtrain.parsing import sentence

RUN_TRAINER = {
    "num_sanity_val_steps": 0,
    "val_check_interval": None,  # so many in a stage; see `memtrain.experiment.execution`
    "limit_val_batches": 1,  # enough for a learning curve; results are read on all samples
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
"""Trainer options of a run, unless the experiment sets them."""
OF_OPTIMIZER = ("learning_rate", "weight_decay", "betas", "warmup_steps", "schedule")
"""Options of a stage that change no step's time."""


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
        speed: hash of all that the time of a step depends on, but weights and hardware.
    """

    name: str
    folder: Path
    configuration: dict[str, Any]
    share: float
    fingerprint: str
    recipe: str
    speed: str


@dataclass(frozen=True)
class RunPlan:
    """One run and its stages.

    Args:
        index: number of the run, in the order of `list_runs`.
        run: the run.
        stages: its stages, in the order of training.
        options: those that it has in place of the file's: what it tries, or what was chosen for it.
        trials: tuning runs that they were chosen from.
    """

    index: int
    run: Run
    stages: list[StagePlan]
    options: Options = field(default_factory=dict)
    trials: int = 0


def plan_runs(experiment: Experiment) -> list[RunPlan]:
    """The plans of all runs, with the options of the file, or those that a tuning run tries."""
    return [plan_run(experiment, index, run) for index, run in enumerate(list_runs(experiment))]


def plan_run(experiment: Experiment, index: int, run: Run) -> RunPlan:
    """The plan of one run, number `index`; see `plan_runs`."""
    options = dict(run.options)
    return RunPlan(index, run, plan_stages(experiment, run, options), options)


def plan_stages(experiment: Experiment, run: Run, options: Options) -> list[StagePlan]:
    """The stages of a run.

    Args:
        experiment: the experiment.
        run: one of its runs.
        options: those that replace the file's.

    Raises:
        ValueError: where an option of a stage's model, data or trainer is unknown or of another type.
    """
    names = experiment.methods[run.method]
    shares = [experiment.stages[name].share for name in names]
    plans: list[StagePlan] = []
    unused = set(options)
    reference = experiment.reference_of(run.method)
    budget = {}
    if reference is not None:
        budget["equal"] = plan_stages(experiment, Run(reference, run.difficulty, run.seed), {})[-1].recipe
    for name, share in zip(names, shares, strict=True):
        configuration, used = stage_configuration(experiment, name, run, options, first=not plans)
        unused -= used
        share = share / sum(shares)
        identity = {
            "configuration": configuration,
            "budget": [experiment.budget.seconds, experiment.budget.steps, share],
            "evaluation": [experiment.evaluation.samples, experiment.evaluation.difficulties, bool(run.options)],
            "source": plans[-1].fingerprint if plans else None,
            **code_and_files(configuration),
            **budget,
        }
        seedless = {
            **identity,
            "configuration": {**configuration, "seed_everything": None},
            "source": plans[-1].recipe if plans else None,
        }
        speed = digest([paceless(configuration), plans[-1].speed if plans else None, code_and_files(configuration)])
        hashes = digest(identity), digest(seedless), speed
        plans.append(StagePlan(name, run.folder / name, configuration, share, *hashes))
    if unused:
        raise ValueError(
            f"grid.options.{run.method} has {min(unused)}, but no stage of the method ({', '.join(names)}) has it; "
            "leave it out, or name a stage that has."
        )
    return plans


def paceless(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without what changes no step's time: seed and optimizer."""
    model = configuration["model"]
    kept = {name: value for name, value in model["init_args"].items() if name not in OF_OPTIMIZER}
    return {**configuration, "seed_everything": None, "model": {**model, "init_args": kept}}


def stage_configuration(
    experiment: Experiment, name: str, run: Run, options: Options, first: bool
) -> tuple[dict[str, Any], set[str]]:
    """The configuration of one stage of a run, with all defaults written out, and which of the options are in it."""
    stage = experiment.stages[name]
    model = {**stage.model, "init_args": dict(stage.model.get("init_args", {}))}
    if first and experiment.network is not None and structure_of(model.get("class_path")) == "network":
        model["init_args"].setdefault("network", experiment.network)
    trainer = {**RUN_TRAINER, **experiment.trainer, **stage.trainer}
    data = data_configuration(experiment, experiment.difficulties[0], stage.data)
    used: set[str] = set()
    try:
        configuration = json.loads(resolved(json.dumps({"trainer": trainer, "model": model, "data": data})))
        if options:
            known = configuration["model"]["init_args"]
            used = apply_options(model, data, name, options, known, first)
            configuration = json.loads(resolved(json.dumps({"trainer": trainer, "model": model, "data": data})))
    except ValueError as error:
        raise ValueError(f"stages.{name}: {error}") from None
    # Runs with the same options differ in these alone, so that one look is enough for all of them.
    configuration["seed_everything"] = run.seed
    if experiment.difficulty is not None and experiment.difficulty.key not in stage.data:
        configuration["data"]["init_args"][experiment.difficulty.key] = run.difficulty
    return configuration, used


def structure_of(class_path: Any) -> str:
    """The option that sets the networks of a stage's class; a class that is not found is refused by the parser."""
    return getattr(pydoc.locate(str(class_path)), "structure", "network")


@cache
def resolved(configuration: str) -> str:
    """`resolve` from JSON to JSON, remembered."""
    try:
        return json.dumps(resolve(json.loads(configuration)))
    except ArgumentError as error:
        raise ValueError(sentence(error)) from None


def configure(plan: StagePlan, source: Path | None, **trainer: Any) -> dict[str, Any]:
    """The stage's configuration with the checkpoint to start from and further Trainer options."""
    model = plan.configuration["model"]
    if source is not None:
        model = {**model, "init_args": {**model["init_args"], "init_from": str(source)}}
    return {**plan.configuration, "model": model, "trainer": {**plan.configuration["trainer"], **trainer}}
