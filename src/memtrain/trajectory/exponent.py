"""The largest Lyapunov exponent of a trajectory whose Jacobians are known."""

import torch
from torch import Tensor

from memtrain.scan import multiply


@torch.no_grad()
def largest_exponent(jacobian: Tensor, seed: int = 0) -> Tensor:
    """Mean growth per step, in nats, of a random perturbation along each sample's trajectory.

    The number of `memtrain.metrics.largest_lyapunov_exponent`, for each sample. Newton's method converges in few
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
