"""Masked means that are the same on one process and on many."""

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor, count: Tensor | None = None, shards: int = 1) -> Tensor:
    """The mean of the valid terms: (sum of this shard's valid terms) * shards / (valid count over all shards).

    A shard is what one rank holds of a batch, or one micro-batch of that. Gradients are averaged over shards; with this
    rule that average is the gradient of one process with the whole batch, however unevenly the valid terms fall.

    Args:
        values: any shape.
        mask: bool, the same shape; True where a term is valid.
        count: valid terms over all shards; None: this shard's own.
        shards: number of equally large shards.

    Returns:
        A scalar; 0 where nothing is valid anywhere.
    """
    total = torch.where(mask, values, 0.0).sum()
    count = mask.sum() if count is None else count
    return total * shards / count.clamp(min=1)
