"""One run in this process: each stage is timed, trained and evaluated, or taken as it stands if that is done."""

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter

from memtrain.callbacks import write_hyperparameters
from memtrain.checkpoints import load_checkpoint
from memtrain.divergence import Diverged
from memtrain.experiment.evaluation import stage_result
from memtrain.experiment.launcher import is_first
from memtrain.experiment.plan import RunPlan, StagePlan, configure
from memtrain.experiment.progress import ProgressFile
from memtrain.experiment.specification import Experiment
from memtrain.experiment.steps import flops_under, stage_steps
from memtrain.experiment.timing import references, timings_for
from memtrain.files import LAST_CHECKPOINT, read_json, write_json
from memtrain.fit import MemtrainCLI
from memtrain.lock import only_worker
from memtrain.provenance import provenance
from memtrain.results import DivergedStage, StageResult, read_result, write_result

VALIDATIONS = 10
"""Validations in a stage whose trainer sets no `val_check_interval`: points of its learning curve."""
CHECKPOINTS = 10
"""Checkpoints in a stage, at least."""


def execute(experiment: Experiment, plan: RunPlan, directory: Path) -> None:
    """Do what is left of a run.

    Where several processes train together (`trainer.devices`), each calls this and takes the same way; only the first
    of them writes files and evaluates.

    Args:
        experiment: the experiment.
        plan: of one of its runs.
        directory: folder of the experiment's results.

    Raises:
        ValueError: if the folder holds a run of another configuration, or another process works there.
    """
    torch.set_num_threads(1)  # a run is one thread wherever it is started, so that seconds compare
    origin = provenance()  # of the code as it is now: the checkout may move on while the run trains
    run, stages = plan.run, plan.stages
    progress = ProgressFile(directory / run.folder / "progress.json")
    with only_worker("--output", directory / run.folder) if is_first() else nullcontext():
        begun = all((directory / stage.folder / "budget.json").is_file() for stage in stages)
        equal = experiment.reference_of(run.method) is not None
        timed = (experiment.budget.seconds is not None or equal) and not begun
        timings = timings_for(experiment, plan, directory, progress) if timed else {}
        flops = None
        if equal and timed:
            (reference,) = references(experiment, plan, directory)
            flops = flops_under(experiment.budget, reference.stages, timings)
        source = None
        for stage in stages:
            if not is_done(stage, directory):
                folder = directory / stage.folder
                origins = record_origin(folder, origin) if is_first() else []
                try:
                    steps = stage_steps(stage, folder, experiment.budget, timings, flops)
                    train(stage, folder, steps, source, progress)
                except Diverged as error:
                    if not run.options:
                        raise
                    give_up(stages[stages.index(stage) :], directory, error)
                    return
                if is_first():
                    progress.report(stage.name, "evaluating", stage.share)
                    result = stage_result(experiment, plan, stage, directory, origins, steps)
                    write_result(folder / "result.json", result)
                    if result.is_last:
                        show_result(plan, result, directory)
            progress.finish(stage.share)
            source = directory / stage.folder / LAST_CHECKPOINT


def record_origin(folder: Path, origin: dict[str, Any]) -> list[dict[str, Any]]:
    """Record where a stage's work is done: a continued run may be on another machine, or of a later commit.

    Args:
        folder: of the stage.
        origin: provenance of this process.

    Returns:
        The provenance of all processes that have worked on it, this one last; also kept in `origins.json`.
    """
    found = [*(read_json(folder / "origins.json") or []), origin]
    write_json(folder / "origins.json", found)
    return found


def give_up(stages: list[StagePlan], directory: Path, error: Diverged) -> None:
    """Record that a tuning run has diverged: its options are never chosen."""
    for stage in stages:
        result = DivergedStage(str(error), stage.fingerprint)
        rank_zero_only(write_result)(directory / stage.folder / "result.json", result)


def unfinished(plans: Iterable[RunPlan], directory: Path) -> list[RunPlan]:
    """The runs that have a stage without result.

    Raises:
        ValueError: see `is_done`.
    """
    return [plan for plan in plans if not all([is_done(stage, directory) for stage in plan.stages])]


def is_done(plan: StagePlan, directory: Path) -> bool:
    """Whether the stage has its result.

    Raises:
        ValueError: if its folder holds something else than this stage, finished or not.
    """
    result = read_result(directory / plan.folder / "result.json")
    budget = read_json(directory / plan.folder / "budget.json")
    found = {result.fingerprint} if result else set()
    found |= {budget["fingerprint"]} if budget else set()
    if found - {plan.fingerprint}:
        raise ValueError(
            f"{directory / plan.folder} holds results of another configuration, or of code or data that have "
            "changed since; choose another --output, or remove that folder."
        )
    return result is not None


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


def show_result(plan: RunPlan, result: StageResult, directory: Path) -> None:
    """Put a finished run into TensorBoard's table of hyperparameters and results.

    Args:
        plan: of the run.
        result: of its last stage.
        directory: folder of the experiment's results.
    """
    rates = {stage.name: stage.configuration["model"]["init_args"]["learning_rate"] for stage in plan.stages}
    options = {"method": result.method, "seed": str(result.seed)}
    if result.difficulty_name is not None:
        options[result.difficulty_name] = str(result.difficulty)
    options["learning rates"] = ", ".join(f"{stage} {rate:g}" for stage, rate in rates.items())
    own = result.evaluations[0]
    # The same names for all methods, whatever model they train: TensorBoard takes its columns from one of them.
    reading = own.readings[result.reading]
    metrics = {
        f"{own.split}/{name}": reading.get(name)
        for name in dict.fromkeys([result.score.name, "accuracy", "loss"])
        if name != "accuracy" or name in reading  # numbers have none
    }
    metrics[f"{own.split}/drift/relative"] = own.diagnostics.get("drift/relative")
    metrics |= {f"cost/{name}": value for name, value in vars(result.costs).items()}
    with SummaryWriter(directory / plan.run.folder) as writer:
        write_hyperparameters(writer, options, metrics, result.costs.steps)
