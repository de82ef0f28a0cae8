"""Learning-rate schedules per optimizer step."""

import math
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup_schedule(
    optimizer: Optimizer, warmup_steps: int, total_steps: int, schedule: Literal["constant", "cosine"]
) -> LambdaLR:
    """Linear warm-up from 0, then constant, or a cosine to 0 at `total_steps`.

    Args:
        optimizer: the optimizer whose learning rates are scaled.
        warmup_steps: steps of the warm-up; the first step already has rate 1 / warmup_steps.
        total_steps: steps of the whole stage.
        schedule: constant or cosine.
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        if schedule == "constant":
            return 1.0
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))

    return LambdaLR(optimizer, factor)
