"""How a solved trajectory is written down."""

import pytest
import torch

from memtrain.measurements.solving import describe
from memtrain.trajectory import Fallback, NewtonTrajectory


def solved(iterations: list[int], fallback: list[Fallback]) -> NewtonTrajectory:
    count = len(iterations)
    return NewtonTrajectory.known(
        torch.zeros(count, 1, 1, 1),
        sequential_steps=1,
        backward_steps=1,
        gradient_chain=1,
        iterations=torch.tensor(iterations),
        residual=torch.zeros(count),
        fallback=torch.tensor(fallback),
        error=torch.arange(count) / 8,
    )


def test_iterations_are_those_of_samples_that_were_solved_at_once() -> None:
    found = describe(solved([3, 6, 90, 40], [Fallback.NONE, Fallback.NONE, Fallback.WINDOWS, Fallback.SEQUENTIAL]))
    assert found == {"iterations": 4.5, "windows": 0.25, "sequential": 0.25, "error": 0.375}


def test_there_are_no_iterations_where_no_sample_was_solved_at_once() -> None:
    found = describe(solved([90, 40, 30], [Fallback.WINDOWS, Fallback.WINDOWS, Fallback.SEQUENTIAL]))
    assert found["iterations"] is None
    assert found["windows"] == pytest.approx(2 / 3)
