"""Weights under autocast: cast once in a stretch of an unroll, not once a step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

STEPS_PER_CAST = 64
"""Steps of an unroll that share one cast of the weights. Sharing has a price: the gradients of all uses of a cast are
summed in its own type, and sums of many equal terms stall in bfloat16, whose mantissa has 8 bits. With one cast for
1,024 steps, half of the gradient's norm was lost; with one for 64, nothing that single casts would have kept."""


@contextmanager
def shared_casts(device_type: str) -> Iterator[None]:
    """Within, each weight is cast by autocast once; without autocast nothing changes.

    Lightning's autocast keeps no casts, so a cell that is called T times has its weights cast T times. Casts made under
    `no_grad` carry no gradient, so none outlives the block that made it.

    Args:
        device_type: of the tensors: "cpu", "cuda".
    """
    if not torch.is_autocast_enabled(device_type):
        yield
        return
    torch.clear_autocast_cache()
    try:
        with torch.autocast(device_type, dtype=torch.get_autocast_dtype(device_type), cache_enabled=True):
            yield
    finally:
        torch.clear_autocast_cache()
