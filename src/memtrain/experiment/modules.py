"""The modules of an experiment: each is built once before anything is trained, so that a wrong one is refused."""

import json
from collections.abc import Iterable
from typing import Any

from jsonargparse import ArgumentError

from memtrain.experiment.plan import RunPlan, StagePlan, structure_of
from memtrain.networks import Interface
from memtrain.parsing import SentenceParser, sentence
from memtrain.training import StageModule


def check_modules(plans: Iterable[RunPlan]) -> None:
    """Refuse stages whose module cannot be built, or has nothing to begin from.

    Args:
        plans: of the runs.

    Raises:
        ValueError: saying what is wrong with it.
    """
    built: set[str] = set()
    for plan in plans:
        structures: dict[str, Any] = {}
        for stage in plan.stages:
            model = stage.configuration["model"]
            options = {**model["init_args"], "interface": Interface.of_tokens(2).to_primitive()}
            structure = structure_of(model["class_path"])
            if options[structure] is None:
                options[structure] = structures.get(structure)  # that of the stage before
            structures[structure] = options[structure]
            from_checkpoint = options.pop("init_from", None)
            if from_checkpoint and options[structure] is None:
                break  # that of a checkpoint
            begins = stage is plan.stages[0] and not from_checkpoint
            batch_size = stage.configuration["data"]["init_args"].get("batch_size")
            text = json.dumps([model["class_path"], options, batch_size, begins], sort_keys=True)
            if text not in built:
                built.add(text)
                module = build(stage, options)
                check_batch_size(stage, module, batch_size)
                if begins:
                    check_beginning(plan.run.method, stage, module)


def build(stage: StagePlan, options: dict[str, Any]) -> StageModule:
    """The module of a stage with these options."""
    parser = SentenceParser()
    parser.add_subclass_arguments(StageModule, "model", fail_untyped=False)
    model = {**stage.configuration["model"], "init_args": options}
    try:
        return parser.instantiate(parser.parse_object({"model": model})).model
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"stages.{stage.name}: {sentence(error)}") from None


def check_batch_size(stage: StagePlan, module: StageModule, batch_size: int | None) -> None:
    """Refuse batches that cannot be cut into equal micro-batches."""
    if batch_size is not None and batch_size % module.micro_batches:
        raise ValueError(
            f"stages.{stage.name}: model.micro_batches is {module.micro_batches}, but data.batch_size is "
            f"{batch_size}; choose a divisor of it."
        )


def check_beginning(method: str, stage: StagePlan, module: StageModule) -> None:
    """Refuse a method whose first stage needs networks that an earlier stage has trained."""
    needed = module.requires()
    if needed:
        raise ValueError(
            f"methods.{method} begins with {stage.name}, which needs a trained {' and '.join(needed)}; put a stage "
            "before it, or set its model.init_args.init_from."
        )
