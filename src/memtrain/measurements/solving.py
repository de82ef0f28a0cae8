"""What measurements write down of a trajectory that Newton's method has solved."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from memtrain.trajectory import Fallback, NewtonTrajectory


@contextmanager
def fallbacks_unwarned() -> Iterator[None]:
    """Within, Newton does not warn of samples that fall back; columns of the table count them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="trajectory is Newton, but some samples")
        yield


def describe(solved: NewtonTrajectory) -> dict[str, float | None]:
    """How a batch was solved, as columns of a table.

    Args:
        solved: what `Newton.solve` returned.

    Returns:
        `iterations`: mean over the samples that were solved over all timesteps at once, None if there are none;
        `windows` and `sequential`: shares of samples that fell back, in [0, 1]; `error`: to first order, how far any
        number of a state is from the rollout at most.
    """
    at_once = solved.iterations[solved.fallback == Fallback.NONE]
    return {
        "iterations": mean(at_once) if len(at_once) else None,
        "windows": mean(solved.fallback == Fallback.WINDOWS),
        "sequential": mean(solved.fallback == Fallback.SEQUENTIAL),
        "error": solved.error.max().item(),
    }


def mean(values: Tensor) -> float:
    """The mean of any tensor as a number."""
    return values.double().mean().item()
