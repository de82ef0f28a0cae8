"""Recurrence: a cell and its inputs as one map `h_t = f_t(h_{t-1})` of all timesteps, with its Jacobians."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.scan import Backend, linear_recurrence, preceding, scan_flops

Jacobian = Literal["auto", "full", "diagonal"]


@dataclass(frozen=True)
class Recurrence:
    """`f_t(h) = f((1 - alpha) h + alpha m_{t-1}, x_t)` for all t; alpha = 0 is the cell's own rollout.

    Mixing the teacher's memories m in is generalized teacher forcing. The first step has none: it starts at the initial
    memory. Samples never mix.

    Attributes:
        cell: the update f.
        inputs: what `f` takes in at each t, as the cell projects it: `[B, T, *]`.
        teacher: `m_{t-1}` at index t, `[B, T, K, D]`; None for alpha 0.
        alpha: `[T]`, the share of m at each t; None for alpha 0.
    """

    cell: Cell
    inputs: Tensor
    teacher: Tensor | None = None
    alpha: Tensor | None = None

    @classmethod
    def of(cls, cell: Cell, embeddings: Tensor, teacher: Tensor | None = None, alpha: float = 0.0) -> "Recurrence":
        """The recurrence of a cell on embedded inputs, which are projected here, once.

        Args:
            cell: the update f.
            embeddings: embedded inputs, `[B, T, D]`.
            teacher: the teacher's memories `m_t`, `[B, T, K, D]`; needed for an alpha above 0.
            alpha: share of the teacher's memory in what the cell is fed, in [0, 1].

        Raises:
            ValueError: for an alpha above 0 without teacher.
        """
        inputs = cell.project(embeddings)
        if alpha == 0:
            return cls(cell, inputs)
        if teacher is None:
            raise ValueError(
                f"Newton.teacher_forcing is {alpha}, but there are no teacher memories to mix in; give them, or set it "
                "to 0."
            )
        before = preceding(torch.zeros_like(teacher[:, 0]), teacher)
        shares = torch.full((embeddings.shape[1],), alpha, dtype=teacher.dtype, device=teacher.device)
        shares[0] = 0
        return cls(cell, inputs, before, shares)

    def take(self, samples: Tensor | slice, timesteps: Tensor | slice = slice(None)) -> "Recurrence":
        """The recurrence of some samples, int64 `[S]`, over some timesteps, a slice or int64 `[L]`."""
        teacher = None if self.teacher is None else self.teacher[samples][:, timesteps]
        alpha = None if self.alpha is None else self.alpha[timesteps]
        return replace(self, inputs=self.inputs[samples][:, timesteps], teacher=teacher, alpha=alpha)

    def step(self, before: Tensor) -> Tensor:
        """`f_t(h_{t-1})` for all t at once: `[B, T, K, D]` to `[B, T, K, D]`."""
        fed = self._mixed(before)
        return self.cell.update(fed.flatten(0, 1), self.inputs.flatten(0, 1)).view_as(fed)

    def linearize(self, before: Tensor, jacobian: Jacobian = "auto") -> tuple[Tensor, Tensor]:
        """`f_t(h_{t-1})` for all t at once, and `J_t = d f_t / d h_{t-1}`, which carries no gradient.

        Args:
            before: `h_{t-1}`, `[B, T, K, D]`.
            jacobian: auto: the cell's own structure, dense if it has none; full: dense, for any cell; diagonal: the
                diagonal of J alone (quasi-DEER: Gonzalez et al., arXiv 2407.19115).

        Returns:
            `[B, T, K, D]`, and J: `[B, T, K, D]` (a diagonal) or `[B, T, G, n, n]` (blocks; dense: G = 1).

        Raises:
            ValueError: for a dense Jacobian of a memory that is too large for it.
        """
        fed, inputs = self._mixed(before).flatten(0, 1), self.inputs.flatten(0, 1)
        dense = jacobian == "full"
        after, matrices = Cell.linearize(self.cell, fed, inputs) if dense else self.cell.linearize(fed, inputs)
        after, matrices = (x.unflatten(0, before.shape[:2]) for x in (after, matrices))
        if jacobian == "diagonal" and matrices.dim() > before.dim():
            matrices = matrices.diagonal(dim1=-2, dim2=-1).mT.reshape(before.shape)
        if self.alpha is not None:
            matrices = matrices * (1 - self.alpha).view(-1, *[1] * (matrices.dim() - 2))
        return after, matrices

    def rollout(self, memory: Tensor) -> Tensor:
        """One step after the other: `[B, K, D]` to `[B, T, K, D]`."""
        if self.teacher is None or self.alpha is None:
            return self.cell.unroll(memory, self.inputs)
        states = []
        for inputs, taught, share in zip(self.inputs.unbind(1), self.teacher.unbind(1), self.alpha, strict=True):
            memory = self.cell.update(torch.lerp(memory, taught, share), inputs)
            states.append(memory)
        return torch.stack(states, dim=1)

    def clip(self, states: Tensor, memory: Tensor) -> Tensor:
        """States `[B, T, K, D]`, moved into the cube in which a rollout from `memory` `[B, K, D]` is known to stay."""
        if not self.cell.bounded:
            return states
        fed = [memory] if self.teacher is None else [memory, self.teacher]
        bounds = torch.stack([x.abs().flatten(1).amax(1).clamp(min=1) for x in fed]).amax(0)[:, None, None, None]
        return states.clamp(-bounds, bounds)

    def _mixed(self, before: Tensor) -> Tensor:
        """What the cell is fed: `(1 - alpha) h + alpha m`."""
        if self.teacher is None or self.alpha is None:
            return before
        return torch.lerp(before, self.teacher, self.alpha[:, None, None])


def propagate(jacobian: Tensor, changes: Tensor, initial: Tensor | None, scan: Backend) -> Tensor:
    """`delta_t = J_t delta_{t-1} + r_t`: what changes of single steps add up to along the trajectory.

    Args:
        jacobian: J as `Recurrence.linearize` returns it.
        changes: `r_t`, `[B, T, K, D]`.
        initial: `delta_{-1}`, `[B, K, D]`; None: zeros.
        scan: see `memtrain.scan`.

    Returns:
        `[B, T, K, D]`.
    """
    if jacobian.dim() == changes.dim():
        return linear_recurrence(jacobian, changes, initial, scan)
    components = jacobian.shape[-1]

    def units(memory: Tensor) -> Tensor:
        """The numbers of a unit side by side, `[..., G, n]`."""
        return memory.flatten(-2).unflatten(-1, (components, -1)).mT

    deltas = linear_recurrence(jacobian, units(changes), None if initial is None else units(initial), scan)
    return deltas.mT.reshape(changes.shape)


def propagation_flops(jacobian: Tensor, states: Tensor, scan: Backend) -> int:
    """Sequential FLOPs of `propagate`, per sample, with `changes` of the shape of `states`."""
    block = 1 if jacobian.dim() == states.dim() else jacobian.shape[-1]
    return scan_flops(states[0, 0].numel(), block, states.shape[1], scan)
