"""Trajectory: the memories that a solver returns, whether they are the cell's own rollout, and what they cost."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Trajectory:
    """The memories of a rollout at its labeled steps.

    Attributes:
        states: `[B, L, K, D]`, the memory after each labeled input.
        converged: bool `[B, L]`, True where the state is known to be the cell's own rollout from the initial memory.
        sequential_steps: cell evaluations that follow one another on the way forward.
        backward_steps: cell evaluations that follow one another on the way back.
        gradient_chain: cell updates on the longest path of the gradient.
        scan_flops: sequential FLOPs of the linear recurrences beside them, per sample.
        scan_levels: dependent operations of these; see `memtrain.scan.scan_levels`.
    """

    states: Tensor
    converged: Tensor
    sequential_steps: int
    backward_steps: int
    gradient_chain: int
    scan_flops: int = 0
    scan_levels: int = 0

    @classmethod
    def known(cls, states: Tensor, sequential_steps: int, backward_steps: int, **found: Any) -> Self:
        """A trajectory all of whose states are the cell's own rollout; for the arguments see the attributes."""
        converged = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        return cls(states, converged, sequential_steps, backward_steps, **found)

    def sequential_flops(self, update: int) -> int:
        """FLOPs of the longest chain of operations, forward and backward, per sample (see `memtrain.metrics.flops`).

        Args:
            update: FLOPs of one cell update forward; its way back costs twice as much.
        """
        return (self.sequential_steps + 2 * self.backward_steps) * update + self.scan_flops

    def sequential_depth(self, update: int) -> int:
        """Dependent operations, forward and backward.

        Args:
            update: those of one cell update forward; its way back has as many.
        """
        return (self.sequential_steps + self.backward_steps) * update + self.scan_levels

    def means(self) -> dict[str, Tensor]:
        """What the solver says of its solution: scalars whose mean over several solutions is logged."""
        return {}

    def worst(self) -> dict[str, Tensor]:
        """What the solver says of its solution: scalars whose maximum over several solutions is logged."""
        return {}


class Fallback(IntEnum):
    """What a sample needed beside Newton's iteration over all timesteps at once."""

    NONE = 0
    WINDOWS = 1
    SEQUENTIAL = 2


@dataclass(frozen=True, kw_only=True)
class NewtonTrajectory(Trajectory):
    """A trajectory that Newton's method has solved within its tolerance.

    With teacher forcing it is the rollout that is fed the teacher's memories in part. The statistics are those of the
    whole trajectory, not of the labeled steps alone.

    Attributes:
        iterations: int64 `[B]`, updates of the whole trajectory, those of the fallback's windows included.
        residual: `[B]`, the largest `|f(h_{t-1}) - h_t| / max(1, |h_t|)` of the returned states.
        error: `[B]`, to first order, an upper bound of how far any number of a state is from the exact one.
        fallback: int64 `[B]`, a `Fallback` for each sample.
        exponent: `[B]`, if asked for: largest Lyapunov exponent along the trajectory, nats a step.
    """

    iterations: Tensor
    residual: Tensor
    error: Tensor
    fallback: Tensor
    exponent: Tensor | None = None

    def means(self) -> dict[str, Tensor]:
        """Iterations, the share of samples that fell back, and the exponent where it was asked for."""
        found = {
            "newton_iterations": self.iterations.float().mean(),
            "newton_fallback": (self.fallback > 0).float().mean(),
        }
        return found if self.exponent is None else found | {"newton_exponent": self.exponent.mean()}

    def worst(self) -> dict[str, Tensor]:
        """The largest residual and the largest error."""
        return {"newton_residual": self.residual.max(), "newton_error": self.error.detach().max()}
