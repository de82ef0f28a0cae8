"""Trajectory: what every solver returns: the states, and whether they are the cell's own rollout."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor


class Fallback(IntEnum):
    """What a sample needed beside Newton's iteration over all timesteps at once."""

    NONE = 0
    WINDOWS = 1
    SEQUENTIAL = 2


@dataclass(frozen=True)
class Trajectory:
    """The memories of a rollout.

    Attributes:
        states: `[B, T, K, D]`, the memory after each input.
        converged: bool `[B, T]`, True where the state is known to be the cell's own rollout from the initial memory
            (with newton's alpha above 0: the rollout that is fed the teacher's memories in part), newton's within its
            tolerance.
        sequential_steps: cell evaluations that had to follow one another, those of newton's guess included.
        scan_flops: sequential FLOPs of the linear recurrences beside them, that of the gradient included, per sample.
        iterations: int64 `[B]`, newton: updates of the whole trajectory, those of the fallback's windows included.
        residual: `[B]`, newton: the largest `|f(h_{t-1}) - h_t| / max(1, |h_t|)` of the returned states.
        error: `[B]`, newton: to first order, an upper bound of how far any number of a state is from the exact one.
        fallback: int64 `[B]`, newton: a `Fallback` for each sample.
        exponent: `[B]`, newton, if asked for: largest Lyapunov exponent along the trajectory, nats a step.
    """

    states: Tensor
    converged: Tensor
    sequential_steps: int
    scan_flops: int = 0
    iterations: Tensor | None = None
    residual: Tensor | None = None
    error: Tensor | None = None
    fallback: Tensor | None = None
    exponent: Tensor | None = None

    @classmethod
    def known(cls, states: Tensor, sequential_steps: int, **found: Any) -> "Trajectory":
        """A trajectory all of whose states are the cell's own rollout; for the arguments see the attributes."""
        converged = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        return cls(states, converged, sequential_steps, **found)
