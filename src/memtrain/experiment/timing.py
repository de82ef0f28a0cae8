"""A stage's part of the budget in optimizer steps: counted, or timed once and recorded."""

from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from memtrain.experiment.evaluation import untouched
from memtrain.experiment.plan import StagePlan, configure
from memtrain.experiment.progress import ProgressFile
from memtrain.experiment.specification import Budget
from memtrain.files import read_json, write_json
from memtrain.fit import MemtrainCLI
from memtrain.provenance import provenance

WARM_UP_STEPS, TIMED_STEPS = 10, 30


def stage_steps(plan: StagePlan, folder: Path, budget: Budget, source: Path | None, progress: ProgressFile) -> int:
    """Optimizer steps of a stage: decided once, recorded in `budget.json`, and kept when a run is continued."""
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
    """Training seconds of one optimizer step, by throw-away copies of the stage.

    The timed copy takes its few steps for the whole stage: options that change over a stage, as growing windows, go
    from their first value to their last. A process that trains alone on a CPU is timed by its own CPU seconds: other
    work on the machine must not take steps from it.
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
