"""Masked means that are the same on one process and on many."""

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor, count: Tensor | None = None, world_size: int = 1) -> Tensor:
    """The mean of the valid terms: (sum of this rank's valid terms) * world_size / (valid count over all ranks).

    DDP averages gradients over ranks; with this rule that average is the gradient of one process with the whole batch,
    however unevenly the valid terms fall (method: section 4).

    Args:
        values: any shape.
        mask: bool, the same shape; True where a term is valid.
        count: valid terms over all ranks; None: this rank's own.
        world_size: number of ranks.

    Returns:
        A scalar; 0 where nothing is valid anywhere.
    """
    total = torch.where(mask, values, 0.0).sum()
    count = mask.sum() if count is None else count
    return total * world_size / count.clamp(min=1)
