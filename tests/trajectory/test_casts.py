"""What autocast does to the weights of an unroll: cast once in a stretch of steps, and no gradient is lost by it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from memtrain.networks.casts import STEPS_PER_CAST
from memtrain.networks.cells import Cell, MLPCell
from memtrain.trajectory import Detached, Picard, Sequential, Solver, rollout

T = 2 * STEPS_PER_CAST + 3


class Casts(TorchDispatchMode):
    """Counts how often any part of each parameter of a cell is cast."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.names = {p.untyped_storage().data_ptr(): name for name, p in cell.named_parameters()}
        self.counted: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.name() == "aten::_to_copy" and (name := self.names.get(args[0].untyped_storage().data_ptr())):
            self.counted[name] += 1
        return func(*args, **(kwargs or {}))


def as_lightning() -> torch.autocast:
    """The autocast of `precision: bf16-mixed`, which keeps no casts."""
    return torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False)


def tensors(cell: Cell, length: int = T) -> tuple[Cell, Tensor, Tensor]:
    """The cell in float32, a memory to start from and embedded inputs."""
    return cell.float(), torch.randn(2, cell.memory_tokens, cell.width).tanh(), torch.randn(2, length, cell.width)


@pytest.mark.parametrize("gradient", [True, False])
def test_an_unroll_casts_each_weight_once_in_a_stretch_of_steps(cell: Cell, gradient: bool) -> None:
    cell, start, embeddings = tensors(cell)
    with torch.set_grad_enabled(gradient), as_lightning(), Casts(cell) as casts:
        rollout(cell, start, embeddings)
    assert set(casts.counted.values()) <= {3}


def test_the_cell_alone_would_cast_each_weight_in_every_step() -> None:
    cell, start, embeddings = tensors(MLPCell(8, 3, "rms"))
    with as_lightning(), Casts(cell) as alone:
        cell.rollout(start, embeddings)
    with as_lightning(), Casts(cell) as casts:
        rollout(cell, start, embeddings)
    assert alone.counted == {name: T for name, _ in cell.named_parameters()}
    assert casts.counted == {name: 3 for name, _ in cell.named_parameters()}


def test_without_autocast_nothing_is_cast(cell: Cell) -> None:
    cell, start, embeddings = tensors(cell, length=3)
    with Casts(cell) as casts:
        rollout(cell, start, embeddings)
    assert not casts.counted


def test_sharing_casts_changes_no_state(cell: Cell) -> None:
    cell, start, embeddings = tensors(cell)
    with as_lightning():
        assert torch.equal(rollout(cell, start, embeddings), cell.rollout(start, embeddings))


def gradient_of(cell: Cell, unroll: Callable[[], Tensor]) -> Tensor:
    """The gradient of the mean state, as one vector."""
    cell.zero_grad()
    with as_lightning():
        unroll().mean().backward()
    return torch.cat([p.grad.flatten() for p in cell.parameters() if p.grad is not None])


def test_long_unrolls_keep_the_length_of_their_gradients() -> None:
    """Where all steps shared one cast, sums of gradients would stall: the norm after 1,024 steps was half as large."""
    cell, start, embeddings = tensors(MLPCell(4, 2, "rms", layers=1), length=1024)
    single = gradient_of(cell, lambda: cell.rollout(start, embeddings))
    shared = gradient_of(cell, lambda: rollout(cell, start, embeddings))
    torch.testing.assert_close(shared.norm(), single.norm(), rtol=0.02, atol=0)
    assert torch.cosine_similarity(shared, single, dim=0) > 0.999


@pytest.mark.parametrize("solver", [Detached(), Sequential(), Detached(Picard(2))], ids=str)
def test_no_cast_outlives_its_unroll(cell: Cell, solver: Solver) -> None:
    """Not even where the user's own autocast keeps casts: those made without gradient would be used with it."""
    cell, start, embeddings = tensors(cell, length=4)
    labels, guess = torch.arange(4), torch.randn(2, 4, *start.shape[1:]).tanh()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with torch.no_grad():
            rollout(cell, start, embeddings)
        solver.solve(cell, start, embeddings, labels, guess).states.square().sum().backward()
    assert all(p.grad is not None for p in cell.parameters())
