"""A stage's part of the budget in optimizer steps: counted, or from what a step takes."""

from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from memtrain.experiment.plan import StagePlan
from memtrain.experiment.specification import Budget
from memtrain.experiment.timing import Timing
from memtrain.files import read_json, write_json
from memtrain.provenance import provenance


def stage_steps(plan: StagePlan, folder: Path, budget: Budget, timings: Mapping[str, Timing]) -> int:
    """Optimizer steps of a stage: decided once, recorded in `budget.json`, and kept when a run is continued.

    Args:
        plan: of the stage.
        folder: of the stage.
        budget: of the whole method.
        timings: of the stages by their `speed`, if the budget is in seconds.
    """
    recorded = read_json(folder / "budget.json")
    if recorded is not None:
        return recorded["steps"]
    seconds = seconds_per_step = None
    hardware = provenance()["hardware"]
    if budget.steps is not None:
        steps = max(1, round(plan.share * budget.steps))
    else:
        assert budget.seconds is not None  # one of the two is given
        timing = timings[plan.speed]
        seconds, seconds_per_step, hardware = plan.share * budget.seconds, timing.seconds_per_step, timing.hardware
        steps = max(1, int(seconds / seconds_per_step))
    rank_zero_only(write_json)(
        folder / "budget.json",
        {
            "fingerprint": plan.fingerprint,
            "share": plan.share,
            "seconds": seconds,
            "seconds_per_step": seconds_per_step,
            "steps": steps,
            "hardware": hardware,
        },
    )
    return steps
