"""What a cell must be for a solver: one function, however it is called, and a Jacobian where one is needed."""

import torch
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.networks.cells.jacobian import refuse_large_memory

SAMPLES = 8
"""Random memories on which cells are tried out."""
CLOSE = 1e-4
"""How far two forms of the same update may differ in float32, relative to numbers above 1."""
REMEDIES = {
    "update": "override update instead of step",
    "rollout": "override unroll too, or take the general one, `unroll = Cell.unroll`",
    "linearize": "override linearize too, or the elementary_update that it differentiates",
}


@torch.no_grad()
def require_one_function(cell: Cell) -> None:
    """Refuse a cell whose `update` or `rollout` gives another memory than its `step`, as of a half-made subclass.

    A cell that draws random numbers passes.

    Raises:
        ValueError: naming what to override.
    """
    with torch.random.fork_rng(devices=[]):
        memory, inputs = _draw(cell)
        after = cell.step(memory, inputs)
        if not torch.equal(after, cell.step(memory, inputs)):
            return
        require_same(cell, "update", after, cell.update(memory, cell.project(inputs)))
        require_same(cell, "rollout", after, cell.rollout(memory, inputs.unsqueeze(1)).squeeze(1))


@torch.no_grad()
def require_jacobian(cell: Cell, full: bool = False) -> None:
    """Refuse a cell without Jacobian, or with one of another function.

    Args:
        cell: the update f.
        full: its dense Jacobian is wanted, whatever structure it has.

    Raises:
        ValueError: for a memory that is too large for dense Jacobians, for a cell with dropout, and for a Jacobian that
            is not that of its update.
    """
    if full or cell.structure == "dense":
        refuse_large_memory(type(cell).__name__, cell.memory)
    with torch.random.fork_rng(devices=[]):
        memory, inputs = _draw(cell)
        projected = cell.project(inputs)  # shared by all evaluations, so that it may be random
        after = cell.update(memory, projected)
        if not torch.equal(after, cell.update(memory, projected)):
            raise ValueError(
                f"network.cell is {type(cell).__name__}, whose step draws random numbers, as dropout does. Newton, and "
                "a scan in place of backward steps, evaluate it several times for one result; set its dropout to 0, or "
                "trajectory to Sequential with adjoint autograd."
            )
        linearized, _ = Cell.linearize(cell, memory, projected) if full else cell.linearize(memory, projected)
        require_same(cell, "linearize", after, linearized)


def require_same(cell: Cell, name: str, after: Tensor, other: Tensor) -> None:
    """Refuse a cell whose method `name` gives another next memory than its step.

    Args:
        cell: the update f.
        name: update, rollout or linearize.
        after: the next memory by `step`, of any shape.
        other: the next memory by that method.

    Raises:
        ValueError: naming what to override.
    """
    difference = ((after - other).abs() / after.abs().clamp(min=1)).max().item()
    if difference > CLOSE:
        raise ValueError(
            f"network.cell is {type(cell).__name__}, but its {name} gives another memory than its step (they differ by "
            f"{difference:.2g}); {REMEDIES[name]}."
        )


def _draw(cell: Cell) -> tuple[Tensor, Tensor]:
    """Random memories `[N, K, D]` of the cell's space and inputs `[N, D]`, on its device and of its type."""
    like = next(cell.parameters(), torch.empty(0))
    sizes = (SAMPLES, cell.memory.tokens, cell.memory.width)
    return cell.memory.normalize(torch.randn(sizes).to(like)), torch.randn(SAMPLES, cell.memory.width).to(like)
