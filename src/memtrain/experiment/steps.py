"""A stage's part of the budget in optimizer steps: counted, or from what a step takes or costs."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from memtrain.experiment.plan import StagePlan
from memtrain.experiment.specification import Budget
from memtrain.experiment.timing import Timing
from memtrain.files import read_json, write_json
from memtrain.provenance import provenance


def stage_steps(
    plan: StagePlan, folder: Path, budget: Budget, timings: Mapping[str, Timing], flops: float | None = None
) -> int:
    """Optimizer steps of a stage: decided once, recorded in `budget.json`, and kept when a run is continued.

    Args:
        plan: of the stage.
        folder: of the stage.
        budget: of the whole method.
        timings: of the stages by their `speed`, unless steps are counted.
        flops: sequential FLOPs of the whole method in place of the budget; None: the budget.
    """
    recorded = read_json(folder / "budget.json")
    if recorded is not None:
        return recorded["steps"]
    timing = timings.get(plan.speed)
    if flops is None:
        steps = steps_under(budget, plan, timings)
    else:
        steps = max(1, round(plan.share * flops / timings[plan.speed].sequential_flops))
    seconds = plan.share * budget.seconds if budget.seconds is not None and flops is None else None
    rank_zero_only(write_json)(
        folder / "budget.json",
        {
            "fingerprint": plan.fingerprint,
            "share": plan.share,
            "seconds": seconds,
            "seconds_per_step": None if timing is None else timing.seconds_per_step,
            "sequential_flops": None if flops is None else plan.share * flops,
            "steps": steps,
            "hardware": provenance()["hardware"] if timing is None else timing.hardware,
        },
    )
    return steps


def steps_under(budget: Budget, plan: StagePlan, timings: Mapping[str, Timing]) -> int:
    """Optimizer steps of a stage under the budget of its method."""
    if budget.steps is not None:
        return max(1, round(plan.share * budget.steps))
    assert budget.seconds is not None  # one of the two is given
    return max(1, int(plan.share * budget.seconds / timings[plan.speed].seconds_per_step))


def flops_under(budget: Budget, plans: Iterable[StagePlan], timings: Mapping[str, Timing]) -> float:
    """Sequential FLOPs of a method under the budget, per sample.

    From what a step of a copy of each whole stage costs: exact up to the rounding of windows that grow, and but for
    Newton's method, whose iterations follow the weights. What was spent in the end stands in the results.
    """
    return sum(steps_under(budget, plan, timings) * timings[plan.speed].sequential_flops for plan in plans)
