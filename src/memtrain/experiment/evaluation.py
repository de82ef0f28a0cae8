"""The result of a trained stage: its last checkpoint, read at each evaluation difficulty."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torchmetrics import Metric

from memtrain.data import SequenceDataModule
from memtrain.experiment.data import build_data, data_configuration
from memtrain.experiment.identity import conditions
from memtrain.experiment.options import of_samples
from memtrain.experiment.plan import RunPlan, StagePlan
from memtrain.experiment.runs import evaluation_difficulties
from memtrain.experiment.specification import Experiment, Number
from memtrain.files import LAST_CHECKPOINT
from memtrain.results import LOGGED, Evaluation, Metrics, Score, StageResult
from memtrain.training import MemoryModule, StageModule
from memtrain.training.loading import load_module
from memtrain.training.optimization import warmup_within


def stage_result(
    experiment: Experiment, plan: RunPlan, stage: StagePlan, directory: Path, origins: list[dict[str, Any]], steps: int
) -> StageResult:
    """What a trained stage is worth.

    Args:
        experiment: the experiment.
        plan: of the run.
        stage: one of its stages.
        directory: folder of the experiment's results.
        origins: provenance of the processes that have worked on the stage, this one last.
        steps: optimizer steps of the stage.
    """
    run = plan.run
    folder = directory / stage.folder
    module = load_module(folder / LAST_CHECKPOINT)
    models = models_of(module)
    head = [*module.models.values()][-1].head
    split = "val" if run.options else "test"
    difficulties = [run.difficulty] if run.options else evaluation_difficulties(experiment, run.difficulty)
    evaluations = [
        evaluate(module, build_data(data_configuration(experiment, difficulty)), difficulty, split, stage, folder)
        for difficulty in difficulties
    ]
    return StageResult(
        experiment=experiment.name,
        method=run.method,
        stages=experiment.methods[run.method],
        stage=stage.name,
        difficulty_name=experiment.difficulty.key if experiment.difficulty else None,
        difficulty=run.difficulty,
        seed=run.seed,
        module=stage.configuration["model"]["class_path"],
        score=Score(head.score, head.higher_is_better),
        reading=list(models)[-1],
        trained=[name for name, model in models.items() if any(p.requires_grad for p in model.parameters())],
        parameters={name: sum(p.numel() for p in model.parameters()) for name, model in models.items()},
        learning_rate=stage.configuration["model"]["init_args"]["learning_rate"],
        warmup_steps=warmup_within(module.warmup_steps, steps),
        encoder=module.network.attention if isinstance(module, MemoryModule) and "teacher" in models else None,
        data={**experiment.stages[stage.name].data, **of_samples(plan.options)},
        options=dict(plan.options),
        trials=plan.trials,
        costs=module.counters,
        evaluations=evaluations,
        fingerprint=stage.fingerprint,
        recipe=stage.recipe,
        conditions=conditions(experiment),
        provenance=origins[-1],
        continued_from=origins[:-1],
    )


def models_of(module: StageModule) -> dict[str, nn.Module]:
    """The sequence models of a stage by the name of their reading; the last is the one that the stage is for."""
    names = {logged: reading for reading, logged in LOGGED.items()}
    return {names.get(logged, logged): cast(nn.Module, model) for logged, model in module.models.items()}


def evaluate(
    module: StageModule, data: SequenceDataModule, difficulty: Number | None, split: str, plan: StagePlan, folder: Path
) -> Evaluation:
    """Read a module on one split of data.

    Args:
        module: of the stage.
        data: at one difficulty.
        difficulty: that one.
        split: val or test.
        plan: of the stage.
        folder: of the stage.
    """
    for metric in module.modules():
        if isinstance(metric, Metric):
            metric.distributed_available_fn = lambda: False  # of several processes, the first reads alone
    trainer = reader(plan, folder)
    read = trainer.validate if split == "val" else trainer.test
    (metrics,) = read(module, datamodule=data, verbose=False)
    logged: Metrics = {name.removeprefix(f"{split}/"): value for name, value in metrics.items()}
    readings = {name: taken(logged, f"{LOGGED.get(name, name)}/") for name in models_of(module)}
    errors = {}
    if split == "val":
        batches = trainer.predict(module, dataloaders=data.val_dataloader())
        assert batches is not None
        errors = standard_errors(cast(list[dict[str, Tensor]], batches))
    return Evaluation(split, readings, logged, {**data.reference_lines()}, difficulty, errors)


def reader(plan: StagePlan, folder: Path) -> Trainer:
    """A Trainer that reads the checkpoints of a stage, on one of its devices.

    Args:
        plan: of the stage.
        folder: of the stage.
    """
    options = plan.configuration["trainer"]
    return Trainer(
        accelerator=options["accelerator"],
        devices=options["devices"][:1] if isinstance(options["devices"], list) else 1,  # more would pad the last batch
        precision=options["precision"],
        default_root_dir=untouched(folder),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def standard_errors(batches: Sequence[Mapping[str, Tensor]]) -> Metrics:
    """Standard errors of means over targets, with sequences as the units: those of one sequence are not independent.

    Args:
        batches: of `predict_step`: each sequence's means `[B]`, their number of `targets` and its `index`.

    Returns:
        For each number the error of `sum(targets * mean) / sum(targets)` (a ratio estimate, linearized); None for
        fewer than two sequences.
    """
    together = {name: torch.cat([batch[name] for batch in batches]).double() for name in batches[0]}
    targets = together.pop("targets")
    together.pop("index")
    chosen = targets > 0
    targets, count = targets[chosen], int(chosen.sum())
    found: Metrics = {}
    for name, means in together.items():
        own = means[chosen]
        residuals = targets * (own - (targets * own).sum() / targets.sum())
        variance = residuals.square().sum() * count / max(count - 1, 1)
        found[name] = float(variance.sqrt() / targets.sum()) if count > 1 else None
    return found


def taken(logged: Metrics, prefix: str) -> Metrics:
    """Remove the metrics with a prefix from the others, and return them without it."""
    return {name.removeprefix(prefix): logged.pop(name) for name in [*logged] if name.startswith(prefix)}


def untouched(folder: Path) -> Path:
    """A root directory for trainers that must start from nothing.

    On a SLURM cluster Lightning loads any `hpc_ckpt_*.ckpt` of a trainer's root directory without being asked, and that
    directory is the working directory where none is given. This one is never made.
    """
    return folder / "nothing"
