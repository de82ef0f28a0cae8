"""Recurrence: a cell and its inputs as one map `h_t = f_t(h_{t-1})` of all timesteps, with its Jacobians."""

from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from memtrain.networks.cells import Cell, StructuredCell
from memtrain.networks.cells.base import unroll
from memtrain.trajectory.scan import Backend, linear_recurrence, preceding, scan_flops

Jacobian = Literal["auto", "full", "diagonal"]
DENSE_LIMIT = 64
"""Numbers in a memory, `K * D`, up to which dense Jacobians are computed."""


@dataclass(frozen=True)
class Recurrence:
    """`f_t(h) = f((1 - alpha) h + alpha m_{t-1}, x_t)` for all t; alpha = 0 is the cell's own rollout.

    Mixing the teacher's memories m in is generalised teacher forcing; the first step, which starts at the initial
    memory, has none. Samples never mix.

    Attributes:
        cell: the update f.
        inputs: what `f` takes in at each t: embedded inputs `[B, T, D]`, or a StructuredCell's projection of them,
            `[B, T, P, units]`.
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
        inputs = cell.project(embeddings) if isinstance(cell, StructuredCell) else embeddings
        if alpha == 0:
            return cls(cell, inputs)
        if teacher is None:
            raise ValueError(
                f"alpha is {alpha}, but there are no teacher memories to mix in; give them, or set it to 0."
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
        return self._advance(self._mixed(before))

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
        before = self._mixed(before)
        if isinstance(self.cell, StructuredCell) and jacobian != "full":
            after, matrices = self.cell.update_with_jacobian(before, self.inputs)
        else:
            after, matrices = self._advance(before), self._dense_jacobian(before)
        if jacobian == "diagonal" and matrices.dim() > before.dim():
            matrices = matrices.diagonal(dim1=-2, dim2=-1).mT.reshape(before.shape)
        if self.alpha is not None:
            matrices = matrices * (1 - self.alpha).view(-1, *[1] * (matrices.dim() - 2))
        return after, matrices

    def rollout(self, memory: Tensor) -> Tensor:
        """One step after the other: `[B, K, D]` to `[B, T, K, D]`."""
        if self.teacher is None or self.alpha is None:
            structured = isinstance(self.cell, StructuredCell)
            return unroll(self._update, memory, self.inputs) if structured else self.cell.rollout(memory, self.inputs)
        states = []
        for inputs, taught, share in zip(self.inputs.unbind(1), self.teacher.unbind(1), self.alpha, strict=True):
            memory = self._update(torch.lerp(memory, taught, share), inputs)
            states.append(memory)
        return torch.stack(states, dim=1)

    def clip(self, states: Tensor, memory: Tensor) -> Tensor:
        """States `[B, T, K, D]`, moved into the cube in which a rollout from `memory` `[B, K, D]` is known to stay."""
        if not (isinstance(self.cell, StructuredCell) and self.cell.bounded):
            return states
        fed = [memory] if self.teacher is None else [memory, self.teacher]
        bounds = torch.stack([x.abs().flatten(1).amax(1).clamp(min=1) for x in fed]).amax(0)[:, None, None, None]
        return states.clamp(-bounds, bounds)

    def _mixed(self, before: Tensor) -> Tensor:
        """What the cell is fed: `(1 - alpha) h + alpha m`."""
        if self.teacher is None or self.alpha is None:
            return before
        return torch.lerp(before, self.teacher, self.alpha[:, None, None])

    def _advance(self, fed: Tensor) -> Tensor:
        """The cell on all timesteps as one batch: `[B, T, K, D]` to `[B, T, K, D]`."""
        return self._update(fed.flatten(0, 1), self.inputs.flatten(0, 1)).view_as(fed)

    def _update(self, memory: Tensor, inputs: Tensor) -> Tensor:
        """The cell on one batch: `[N, K, D]` and `[N, ...]` to `[N, K, D]`."""
        return (
            self.cell.update(memory, inputs)
            if isinstance(self.cell, StructuredCell)
            else self.cell.step(memory, inputs)
        )

    @torch.no_grad()
    def _dense_jacobian(self, fed: Tensor) -> Tensor:
        """Column after column by forward-mode derivatives, `[B, T, 1, Z, Z]`; samples of a batch do not mix.

        Raises:
            ValueError: for a memory that is too large, and a cell with operations that have no such derivative.
        """
        refuse_large_memory(self.cell)
        size = fed[0, 0].numel()
        memory, inputs = fed.flatten(0, 1), self.inputs.flatten(0, 1)
        update = self.cell.update if isinstance(self.cell, StructuredCell) else self.cell.elementary_step

        def column(direction: Tensor) -> Tensor:
            jvp = torch.func.jvp(lambda m: update(m, inputs), (memory,), (direction.expand_as(memory),))
            return cast(Tensor, jvp[1])

        basis = torch.eye(size, dtype=fed.dtype, device=fed.device).view(size, 1, *fed.shape[2:])
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no forward-mode derivative
            try:
                columns = torch.func.vmap(column, chunk_size=16)(basis)  # [Z, B * T, K, D]
            except NotImplementedError as error:
                raise ValueError(
                    f"network.cell is {type(self.cell).__name__}, but its Jacobian needs forward-mode derivatives that "
                    f"torch does not have ({str(error).splitlines()[0]}); override its elementary_step, or set "
                    "trajectory to sequential or picard and adjoint to autograd."
                ) from error
        return columns.flatten(2).permute(1, 2, 0).unflatten(0, fed.shape[:2]).unsqueeze(2)


def refuse_large_memory(cell: Cell) -> None:
    """Refuse a cell whose memory is too large for dense Jacobians.

    Raises:
        ValueError: for a memory of more than `DENSE_LIMIT` numbers.
    """
    size = cell.width * cell.memory_tokens
    if size > DENSE_LIMIT:
        raise ValueError(
            f"a memory of {type(cell).__name__} has {size} numbers, but dense Jacobians are computed up to "
            f"{DENSE_LIMIT}; set trajectory to sequential or picard and adjoint to autograd, or take a ParaGRUCell or "
            "ParaLSTMCell with jacobian auto."
        )


def propagate(jacobian: Tensor, changes: Tensor, initial: Tensor | None, scan: Backend) -> Tensor:
    """`delta_t = J_t delta_{t-1} + r_t`: what changes of single steps add up to along the trajectory.

    Args:
        jacobian: J as `Recurrence.linearize` returns it.
        changes: `r_t`, `[B, T, K, D]`.
        initial: `delta_{-1}`, `[B, K, D]`; None: zeros.
        scan: see `memtrain.trajectory.scan`.

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
