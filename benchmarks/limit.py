"""Against the limit: the share of the machine's matrix-product speed that our steps reach, and what eats the rest."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import Side

MATRIX_SIZE = 2048
OPERATORS = 15
"""Operators in a profile table."""


def matrix_product_speed() -> float:
    """FLOP/s of one large square float32 matrix product: the best of three blocks."""
    left, right = torch.randn(2, MATRIX_SIZE, MATRIX_SIZE).unbind()
    side = Side(lambda: left @ right)
    return 2 * MATRIX_SIZE**3 / min(side.seconds() for _ in range(3))


def count_flops(step: Callable[[], object]) -> int:
    """FLOPs of the matrix products of a step, forward and backward."""
    # The counter does not know the CPU's fused attention; the plain one has the same products.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        step()
    return counter.get_total_flops()


def share_of_limit(step: Callable[[], object], speed: float) -> dict[str, float]:
    """How much of the machine's speed a step reaches.

    Args:
        step: an optimizer step of ours.
        speed: of `matrix_product_speed`, in FLOP/s.
    """
    flops, seconds = count_flops(step), min(Side(step).seconds() for _ in range(3))
    return {
        "flops": flops,
        "seconds": seconds,
        "gflops_per_second": flops / seconds / 1e9,
        "share": flops / seconds / speed,
    }


def profile_step(step: Callable[[], object], repeats: int = 3) -> list[dict[str, Any]]:
    """The operators that a step spends most of its time in, by their own CPU time.

    Args:
        step: an optimizer step of ours.
        repeats: profiled steps.

    Returns:
        Rows `operator`, `calls` and `milliseconds` of one step, and `share` of all operators' time.
    """
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(repeats):
            step()
    events = sorted(profiler.key_averages(), key=lambda event: event.self_cpu_time_total, reverse=True)
    total = sum(event.self_cpu_time_total for event in events)
    return [
        {
            "operator": event.key,
            "calls": event.count / repeats,
            "milliseconds": event.self_cpu_time_total / repeats / 1e3,
            "share": event.self_cpu_time_total / total,
        }
        for event in events[:OPERATORS]
    ]
