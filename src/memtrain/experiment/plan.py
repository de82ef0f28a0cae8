"""From a run to the complete configuration of each of its stages, made once and handed on."""

import json
import pydoc
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError

from memtrain.experiment.data import data_configuration
from memtrain.experiment.identity import code_and_files
from memtrain.experiment.runs import Rates, Run, list_runs
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


@dataclass(frozen=True)
class RunPlan:
    """One run and its stages.

    Args:
        index: number of the run, in the order of `list_runs`.
        run: the run.
        stages: its stages, in the order of training.
    """

    index: int
    run: Run
    stages: list[StagePlan]


def plan_runs(experiment: Experiment) -> list[RunPlan]:
    """The plans of all runs, with the learning rates of the file, or those that a tuning run tries."""
    runs = enumerate(list_runs(experiment))
    return [RunPlan(index, run, plan_stages(experiment, run, dict(run.rates))) for index, run in runs]


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
            **code_and_files(configuration),
        }
        seedless = {
            **identity,
            "configuration": {**configuration, "seed_everything": None},
            "source": plans[-1].recipe if plans else None,
        }
        plans.append(StagePlan(name, run.folder / name, configuration, share, digest(identity), digest(seedless)))
    return plans


def stage_configuration(
    experiment: Experiment, name: str, run: Run, rates: Mapping[str, float], first: bool
) -> dict[str, Any]:
    """The configuration of one stage of a run, with all defaults written out."""
    stage = experiment.stages[name]
    model = {**stage.model, "init_args": dict(stage.model.get("init_args", {}))}
    if first and experiment.network is not None and structure_of(model.get("class_path")) == "network":
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
