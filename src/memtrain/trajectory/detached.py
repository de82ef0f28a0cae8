"""Detached: states of any solver without gradient, and one step with gradient from each."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.scan import preceding
from memtrain.trajectory.recurrence import Recurrence
from memtrain.trajectory.sequential import Sequential
from memtrain.trajectory.solution import Trajectory
from memtrain.trajectory.solver import Solver


@dataclass(frozen=True)
class Detached(Solver):
    """Solves without gradient, then makes all labeled transitions again in one batched step with gradient.

    No gradient path is longer than one step (method: section 5). For Picard that step is one more sweep.

    Args:
        trajectory: finds the states.
    """

    trajectory: Solver = field(default_factory=Sequential)

    def __post_init__(self) -> None:
        """Refuse options that have no use here."""
        if isinstance(self.trajectory, Detached):
            raise ValueError("Detached.trajectory is Detached, but once is enough; give it the inner trajectory.")
        if isinstance(self.trajectory, Sequential) and self.trajectory != Sequential():
            raise ValueError(
                f"Detached.trajectory is {self.trajectory}, but Detached takes no gradient through it; leave adjoint "
                "and truncation out."
            )

    @property
    def needs_guess(self) -> bool:
        """What the inner solver needs."""
        return self.trajectory.needs_guess

    @property
    def takes_guess(self) -> bool:
        """What the inner solver takes."""
        return self.trajectory.takes_guess

    def at(self, step: int, total_steps: int) -> "Detached":
        """See `Solver.at`."""
        return replace(self, trajectory=self.trajectory.at(step, total_steps))

    def check(self, cell: Cell) -> None:
        """See `Solver.check`."""
        self.trajectory.check_detached(cell)

    def solve(
        self, cell: Cell, memory: Tensor, inputs: Tensor, labels: Tensor, guess: Tensor | None = None
    ) -> Trajectory:
        """See `Solver.solve`; a state has converged where the state before it has."""
        with torch.no_grad():
            every = torch.arange(inputs.shape[1], device=labels.device)
            whole = self.trajectory.solve(cell, memory, inputs, every, guess)
        before = preceding(memory, whole.states.to(memory.dtype))[:, labels]
        converged = torch.cat([torch.ones_like(whole.converged[:, :1]), whole.converged[:, :-1]], dim=1)[:, labels]
        return replace(
            whole,
            states=self.recurrence(cell, inputs, guess).take(slice(None), labels).step(before),
            converged=converged,
            sequential_steps=whole.sequential_steps + 1,
            backward_steps=1,
            gradient_chain=1,
        )

    def recurrence(self, cell: Cell, inputs: Tensor, guess: Tensor | None) -> Recurrence:
        """See `Solver.recurrence`; that of the inner solver."""
        return self.trajectory.recurrence(cell, inputs, guess)
