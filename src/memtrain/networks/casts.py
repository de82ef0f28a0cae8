"""Weights under autocast: cast once in a stretch of an unroll, not once a step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

STEPS_PER_CAST = 64
"""Steps of an unroll that share one cast of the weights. Sharing has a price: a cast sums the gradients of all its uses
in its own type. The mantissa of bfloat16 has 8 bits, so that sums of many equal terms stall. One cast for 1,024 steps
lost half of the gradient's norm; one for 64 lost no more than single casts."""


@contextmanager
def shared_casts(device_type: str) -> Iterator[None]:
    """Within, each weight is cast by autocast once; without autocast nothing changes.

    Lightning's autocast keeps no casts, so T calls of a cell cast its weights T times. Casts made under `no_grad` carry
    no gradient, so all are dropped at the end of the block.

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
