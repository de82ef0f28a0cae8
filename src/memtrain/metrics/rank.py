"""Effective rank: how many directions the memories use."""

import torch
from torch import Tensor


def effective_rank(memories: Tensor) -> Tensor:
    """`exp(entropy)` of the normalized singular values of centered memories (Roy and Vetterli, 2007).

    Args:
        memories: `[S, ...]`, S samples; everything after the first dimension is one memory (K * D numbers).

    Returns:
        A scalar from 1 (all on a line) to min(S - 1, K * D); 0 where all memories are equal up to rounding; NaN where
        one is not finite, as after a run has diverged.
    """
    matrix = memories.detach().flatten(1)
    matrix = matrix if matrix.dtype == torch.float64 else matrix.float()
    if not matrix.isfinite().all():
        return matrix.new_tensor(torch.nan)
    values = torch.linalg.svdvals(matrix - matrix.mean(0))
    # What rounding alone would leave of equal memories is no direction.
    values = values[values > 10 * torch.finfo(matrix.dtype).eps * matrix.norm()]
    if len(values) == 0:
        return values.new_zeros(())
    return torch.special.entr(values / values.sum()).sum().exp()
