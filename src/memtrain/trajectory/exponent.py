"""The largest Lyapunov exponent of a rollout: whether small errors in a memory grow (above 0) or die out."""

from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from memtrain.networks.cells import Cell
from memtrain.scan import multiply
from memtrain.trajectory.checks import require_same


@torch.no_grad()
def largest_exponent(jacobian: Tensor, seed: int = 0) -> Tensor:
    """Mean growth per step, in nats, of a random perturbation along each sample's trajectory.

    The number of `largest_lyapunov_exponent`, for each sample. Newton's method converges in few
    iterations below 0 and fails above ("Predictability Enables Parallelization", arXiv 2508.16817).

    Args:
        jacobian: J as `Recurrence.linearize` returns it, `[B, T, K, D]` or `[B, T, G, n, n]`.
        seed: of the perturbation.

    Returns:
        `[B]`.
    """
    batch, *shape = jacobian[:, 0].shape if jacobian.dim() == 4 else jacobian[:, 0, ..., 0].mT.shape
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(batch, *shape, generator=generator, dtype=torch.float64).to(jacobian)
    if jacobian.dim() > 4:
        direction = direction.mT  # numbers of a unit side by side, as in J
    growth = jacobian.new_zeros(batch)
    direction = direction / size_of(direction)
    for matrices in jacobian.unbind(1):
        direction = multiply(matrices, direction)
        size = size_of(direction)
        growth += size.flatten().log()
        direction = direction / size
    return growth / jacobian.shape[1]


def size_of(direction: Tensor) -> Tensor:
    """Norms `[B, 1, 1]`, never 0: a cell that forgets everything has a very negative exponent, not NaN."""
    return direction.flatten(1).norm(dim=1).clamp(min=torch.finfo(direction.dtype).tiny)[:, None, None]


@torch.no_grad()
def largest_lyapunov_exponent(
    cell: Cell, memory: Tensor, embeddings: Tensor, seed: int = 0, skipped_steps: int = 0
) -> Tensor:
    """Mean growth per step, in nats, of a perturbation that follows the linearized rollout.

    A random direction follows the rollout by Jacobian-vector products and is normalized again at each step.

    Args:
        cell: the update f.
        memory: the memory to start from, `[B, K, D]`.
        embeddings: embedded inputs, `[B, T, D]`.
        seed: of the random direction.
        skipped_steps: steps in which the direction settles before growth is counted; fewer than T.

    Returns:
        A scalar, averaged over samples and steps.

    Raises:
        ValueError: where no step is left; for a cell whose elementary update is not its step.
    """
    if skipped_steps >= embeddings.shape[1]:
        raise ValueError(
            f"skipped_steps is {skipped_steps}, but there are only {embeddings.shape[1]} timesteps; choose 0."
        )
    inputs = cell.project(embeddings)
    after = cell.step(memory, embeddings[:, 0])
    require_same(cell, "linearize", after, cell.elementary_update(memory, inputs[:, 0]))
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(memory.shape, generator=generator, dtype=torch.float64).to(memory)
    direction = direction / size_of(direction)
    growth = []
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no forward-mode derivative
        for x in inputs.unbind(1):
            update = partial(_update, cell, x)
            memory, direction = cast(tuple[Tensor, Tensor], torch.func.jvp(update, (memory,), (direction,)))
            size = size_of(direction)
            growth.append(size.log())
            direction = direction / size
    return torch.stack(growth[skipped_steps:]).mean()


def _update(cell: Cell, inputs: Tensor, memory: Tensor) -> Tensor:
    """The update as a function of the memory alone, its last argument."""
    return cell.elementary_update(memory, inputs)
