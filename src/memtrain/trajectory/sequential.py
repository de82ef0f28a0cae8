"""Sequential rollout: the definition of a trajectory, and the oracle of every faster way."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from memtrain.limits import require_at_least
from memtrain.networks.cells import Cell
from memtrain.networks.rollout import rollout
from memtrain.scan import scan_levels
from memtrain.trajectory.adjoint import scan_adjoint
from memtrain.trajectory.checks import require_jacobian
from memtrain.trajectory.solution import Trajectory
from memtrain.trajectory.solver import Solver


@dataclass(frozen=True)
class Sequential(Solver):
    """One step after the other: T sequential steps, for any cell.

    Args:
        adjoint: how the gradient goes back through time, exact either way. autograd: step after step. scan: one
            parallel scan of Jacobians. auto: scan where it measures faster, which is for cells with a diagonal
            Jacobian.
        truncation: cut the gradient path every so many steps; null: never.
    """

    adjoint: Literal["auto", "autograd", "scan"] = "auto"
    truncation: int | None = None

    def __post_init__(self) -> None:
        """Refuse options that cannot be."""
        if self.truncation is None:
            return
        require_at_least("Sequential.truncation", self.truncation, 1, example="64, or null to cut nowhere")
        if self.adjoint == "scan":
            raise ValueError(
                f"Sequential.truncation is {self.truncation}, but adjoint is scan, which goes back through the whole "
                "rollout; set adjoint to autograd, or truncation to null."
            )

    def scans(self, cell: Cell) -> bool:
        """Whether the gradient goes back by one parallel scan."""
        if self.adjoint == "auto":
            return self.truncation is None and cell.structure == "diagonal"
        return self.adjoint == "scan"

    def check(self, cell: Cell) -> None:
        """See `Solver.check`; a scan needs the cell's Jacobian."""
        super().check(cell)
        if self.scans(cell):
            require_jacobian(cell)

    def check_detached(self, cell: Cell) -> None:
        """See `Solver.check_detached`; states alone need no Jacobian."""
        super().check(cell)

    def solve(
        self, cell: Cell, memory: Tensor, inputs: Tensor, labels: Tensor, guess: Tensor | None = None
    ) -> Trajectory:
        """See `Solver.solve`; a scan computes in the memory's own precision, with autocast off."""
        length = inputs.shape[1]
        if torch.is_grad_enabled() and self.scans(cell):
            states, flops = scan_adjoint(cell, memory, inputs)
            costs = {"scan_flops": flops, "scan_levels": scan_levels(length)}
            return Trajectory.known(states[:, labels], length + 1, 1, gradient_chain=length, **costs)
        chain = min(length, self.truncation or length)
        parts = []
        for part in inputs.split(chain, dim=1):
            parts.append(rollout(cell, memory, part))
            memory = parts[-1][:, -1].detach()
        states = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        return Trajectory.known(states[:, labels], length, chain, gradient_chain=chain)
