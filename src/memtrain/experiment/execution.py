"""One run in this process: each stage is timed, trained and evaluated, or taken as it stands if that is done."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter
from torchmetrics import Metric

from memtrain.callbacks import write_hyperparameters
from memtrain.checkpoints import load_checkpoint
from memtrain.data import SequenceDataModule
from memtrain.divergence import Diverged
from memtrain.experiment.launcher import is_first
from memtrain.experiment.plan import (
    Rates,
    Run,
    StagePlan,
    build_data,
    conditions,
    data_configuration,
    evaluation_difficulties,
    plan_stages,
)
from memtrain.experiment.progress import ProgressFile
from memtrain.experiment.specification import Budget, Experiment
from memtrain.files import LAST_CHECKPOINT, read_json, write_json
from memtrain.fit import MemtrainCLI
from memtrain.lock import only_worker
from memtrain.provenance import provenance
from memtrain.training import MemoryModule, StageModule
from memtrain.training.loading import load_module
from memtrain.training.optimization import trainable

WARM_UP_STEPS, TIMED_STEPS = 10, 30
VALIDATIONS = 10
"""Validations in a stage whose trainer sets no `val_check_interval`: points of its learning curve."""
RESULTS = ("rollout/accuracy", "rollout/loss", "teacher/accuracy", "teacher/loss", "drift/relative")
"""Metrics in TensorBoard's table of hyperparameters."""
CHECKPOINTS = 10
"""Checkpoints in a stage, at least."""


def execute(experiment: Experiment, run: Run, directory: Path, rates: Rates) -> None:
    """Do what is left of a run.

    Where several processes train together (`trainer.devices`), each calls this and takes the same way; only the first
    of them writes files and evaluates.

    Args:
        experiment: the experiment.
        run: one of its runs.
        directory: folder of the experiment's results.
        rates: learning rates that replace the file's.

    Raises:
        ValueError: if the folder holds a run of another configuration, or is being worked on by another process.
    """
    torch.set_num_threads(1)  # a run is one thread wherever it is started, so that seconds compare
    origin = provenance()  # of the code as it is now: the checkout may move on while the run trains
    plans = plan_stages(experiment, run, rates)
    progress = ProgressFile(directory / run.folder / "progress.json")
    with only_worker("--output", directory / run.folder) if is_first() else nullcontext():
        source = None
        for plan in plans:
            if not is_done(plan, directory):
                folder = directory / plan.folder
                origins = record_origin(folder, origin) if is_first() else []
                try:
                    steps = stage_steps(plan, folder, experiment.budget, source, progress)
                    train(plan, folder, steps, source, progress)
                except Diverged as error:
                    if not run.rates:
                        raise
                    give_up(plans[plans.index(plan) :], directory, error)
                    return
                if is_first():
                    progress.report(plan.name, "evaluating", plan.share)
                    content = result(experiment, run, plan, directory, origins)
                    write_json(folder / "result.json", content)
                    if plan is plans[-1]:
                        show_result(experiment, run, plans, content, directory)
            progress.finish(plan.share)
            source = directory / plan.folder / LAST_CHECKPOINT


def record_origin(folder: Path, origin: dict[str, Any]) -> list[dict[str, Any]]:
    """Where a stage's work was done: a run that is continued may be on another machine, or of a later commit.

    Args:
        folder: of the stage.
        origin: provenance of this process.

    Returns:
        The provenance of all processes that have worked on it, this one last; also kept in `origins.json`.
    """
    found = [*(read_json(folder / "origins.json") or []), origin]
    write_json(folder / "origins.json", found)
    return found


def give_up(plans: list[StagePlan], directory: Path, error: Diverged) -> None:
    """Record that a tuning run has diverged: rates that are too high are an answer, which is never chosen."""
    for plan in plans:
        metrics = {"rollout/loss": None, "rollout/accuracy": None}
        content = {"fingerprint": plan.fingerprint, "diverged": str(error), "evaluations": [{"metrics": metrics}]}
        rank_zero_only(write_json)(directory / plan.folder / "result.json", content)


def is_done(plan: StagePlan, directory: Path) -> bool:
    """Whether the stage has its result.

    Raises:
        ValueError: if its folder holds something else than this stage, finished or not.
    """
    records = [read_json(directory / plan.folder / name) for name in ("result.json", "budget.json")]
    for record in records:
        if record is not None and record["fingerprint"] != plan.fingerprint:
            raise ValueError(
                f"{directory / plan.folder} holds results of another configuration, or of code or data that have "
                "changed since; choose another --output, or remove that folder."
            )
    return records[0] is not None


def configure(plan: StagePlan, source: Path | None, **trainer: Any) -> dict[str, Any]:
    """The stage's configuration with the checkpoint to start from and further Trainer options."""
    model = plan.configuration["model"]
    if source is not None:
        model = {**model, "init_args": {**model["init_args"], "init_from": str(source)}}
    return {**plan.configuration, "model": model, "trainer": {**plan.configuration["trainer"], **trainer}}


def stage_steps(plan: StagePlan, folder: Path, budget: Budget, source: Path | None, progress: ProgressFile) -> int:
    """Optimiser steps of a stage: decided once, recorded in `budget.json`, and kept when a run is continued."""
    recorded = read_json(folder / "budget.json")
    if recorded is not None:
        return recorded["steps"]
    seconds = seconds_per_step = None
    if budget.steps is not None:
        steps = max(1, round(plan.share * budget.steps))
    else:
        assert budget.seconds is not None  # one of the two is given
        progress.report(plan.name, "timing")
        seconds = plan.share * budget.seconds
        seconds_per_step = time_steps(plan, folder, source)
        steps = max(1, int(seconds / seconds_per_step))
    rank_zero_only(write_json)(
        folder / "budget.json",
        {
            "fingerprint": plan.fingerprint,
            "share": plan.share,
            "seconds": seconds,
            "seconds_per_step": seconds_per_step,
            "steps": steps,
            "hardware": provenance()["hardware"],
        },
    )
    return steps


def time_steps(plan: StagePlan, folder: Path, source: Path | None) -> float:
    """Training seconds of one optimiser step, by throw-away copies of the stage.

    The timed copy trains as if its few steps were the whole stage, so that options that change over a stage, as growing
    windows do, are swept from their first value to their last. A process that trains alone on a CPU is timed by its own
    CPU seconds: what else the machine does meanwhile must not take steps from it.
    """
    for steps in (WARM_UP_STEPS, TIMED_STEPS):
        configuration = configure(plan, source, max_steps=steps, limit_val_batches=0)
        cli = MemtrainCLI(configuration, directory=untouched(folder), record=False)
        cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    alone = cli.trainer.strategy.root_device.type == "cpu" and cli.trainer.world_size == 1
    spent = "cpu_seconds" if alone else "train_seconds"
    before = cli.model.source.counters[spent] if cli.model.source else 0.0
    seconds = (getattr(cli.model.counters, spent) - before) / TIMED_STEPS
    return cli.trainer.strategy.broadcast(seconds)  # the first process's, so that all train as many steps


def encoder_of(module: StageModule) -> str | None:
    """How the encoder of a stage's teacher attends; None without teacher."""
    return module.network.attention if isinstance(module, MemoryModule) and module.teacher is not None else None


def untouched(folder: Path) -> Path:
    """A root directory for trainers that must start from nothing.

    On a SLURM cluster Lightning loads any `hpc_ckpt_*.ckpt` of a trainer's root directory without being asked, and that
    directory is the working directory where none is given. This one is never made.
    """
    return folder / "nothing"


def train(plan: StagePlan, folder: Path, steps: int, source: Path | None, progress: ProgressFile) -> None:
    """Train a stage to its last step, from where its checkpoint stands."""
    last = folder / LAST_CHECKPOINT
    if last.is_file() and load_checkpoint(last)["global_step"] >= steps:
        return
    interval = plan.configuration["trainer"]["val_check_interval"] or max(1, steps // VALIDATIONS)
    configuration = configure(plan, source, max_steps=steps, val_check_interval=interval)
    configuration["checkpoint_every"] = max(1, min(plan.configuration["checkpoint_every"], steps // CHECKPOINTS))
    callbacks = [progress.callback(plan.name, plan.share, steps)]
    cli = MemtrainCLI(configuration, directory=folder, events=folder.parent, callbacks=callbacks)
    cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=last if last.is_file() else None, weights_only=True)


def result(
    experiment: Experiment, run: Run, plan: StagePlan, directory: Path, origins: list[dict[str, Any]]
) -> dict[str, Any]:
    """What a trained stage is worth: its last checkpoint, read at each evaluation difficulty.

    Args:
        experiment: the experiment.
        run: the run.
        plan: the stage.
        directory: folder of the experiment's results.
        origins: provenance of the processes that have worked on the stage, the last of them this one.
    """
    checkpoint = directory / plan.folder / LAST_CHECKPOINT
    module = load_module(checkpoint)
    networks = module.networks
    split = "val" if run.rates else "test"
    difficulties = [run.difficulty] if run.rates else evaluation_difficulties(experiment, run)
    return {
        "fingerprint": plan.fingerprint,
        "recipe": plan.recipe,
        "conditions": conditions(experiment),
        "experiment": experiment.name,
        "method": run.method,
        "stage": plan.name,
        "stages": experiment.methods[run.method],
        "difficulty_name": experiment.difficulty.key if experiment.difficulty else None,
        "difficulty": run.difficulty,
        "seed": run.seed,
        "learning_rate": plan.configuration["model"]["init_args"]["learning_rate"],
        "data": experiment.stages[plan.name].data,
        "encoder": encoder_of(module),
        "trains_teacher": bool(trainable(networks).get("teacher")),
        "parameters": {
            name: sum(parameter.numel() for parameter in network.parameters())
            for name, network in networks.items()
            if network is not None
        },
        "counters": module.counters.to_primitive(),
        "evaluations": [
            {"difficulty": difficulty, "split": split}
            | evaluate(plan, module, build_data(data_configuration(experiment, difficulty)), split, directory)
            for difficulty in difficulties
        ],
        "provenance": origins[-1],
        "continued_from": origins[:-1],
    }


def show_result(
    experiment: Experiment, run: Run, plans: list[StagePlan], content: dict[str, Any], directory: Path
) -> None:
    """Put a finished run into TensorBoard's table of hyperparameters and results.

    Args:
        experiment: the experiment.
        run: the run.
        plans: its stages.
        content: the result of the last of them.
        directory: folder of the experiment's results.
    """
    rates = {plan.name: plan.configuration["model"]["init_args"]["learning_rate"] for plan in plans}
    options = {"method": run.method, "seed": str(run.seed)}
    if experiment.difficulty is not None:
        options[experiment.difficulty.key] = str(run.difficulty)
    options["learning rates"] = ", ".join(f"{stage} {rate:g}" for stage, rate in rates.items())
    (own, *_), counters = content["evaluations"], content["counters"]
    metrics = {f"{own['split']}/{name}": own["metrics"].get(name) for name in RESULTS}
    metrics |= {f"cost/{name}": value for name, value in counters.items()}
    with SummaryWriter(directory / run.folder) as writer:
        write_hyperparameters(writer, options, metrics, counters["steps"])


def evaluate(
    plan: StagePlan, module: StageModule, data: SequenceDataModule, split: str, directory: Path
) -> dict[str, Any]:
    """The metrics of a module, without the split's name, and the reference lines of the data."""
    options = plan.configuration["trainer"]
    for metric in module.modules():
        if isinstance(metric, Metric):
            metric.distributed_available_fn = lambda: False  # of several processes, the first reads alone
    trainer = Trainer(
        accelerator=options["accelerator"],
        devices=options["devices"][:1] if isinstance(options["devices"], list) else 1,  # more would pad the last batch
        precision=options["precision"],
        default_root_dir=untouched(directory / plan.folder),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    read = trainer.validate if split == "val" else trainer.test
    metrics = read(module, datamodule=data, verbose=False)[0]
    return {
        "metrics": {name.removeprefix(f"{split}/"): value for name, value in metrics.items()},
        "reference_lines": data.reference_lines(),
    }
