"""What stops a run whose numbers are no longer finite, before they reach a weight."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from memtrain.spans import spans

SMALLEST_SCALE = 1e-6
"""Of float16's losses: below it, after 36 overflows in a row, the gradient is not finite at any scale."""


class Diverged(ValueError):
    """The loss or a gradient is NaN or infinite; no weight has been changed by it and nothing is saved afterwards."""


@dataclass(frozen=True)
class Finding:
    """What one optimizer step found before it changes a weight.

    Attributes:
        step: optimizer steps done before.
        own: this rank's loss, a scalar.
        mean: the mean of all ranks' losses, a scalar.
        norms: gradient norms by network, the same on all ranks; empty where they may be infinite.
        samples: int64 `[B]`, this rank's positions in the training stream.
    """

    step: int
    own: Tensor
    mean: Tensor
    norms: Mapping[str, Tensor]
    samples: Tensor


def may_overflow(scaler: torch.amp.GradScaler | None) -> bool:
    """Whether infinite gradients are no divergence: float16's scaler skips their step and halves its scale."""
    return scaler is not None and scaler.get_scale() >= SMALLEST_SCALE


def require_finite(found: Finding, learning_rate: float, ranks: int) -> None:
    """Stop, on all ranks at once, where the loss or a gradient is NaN or infinite.

    All ranks decide alike: the gradients are the same on all of them, and so is the mean of the losses.

    Args:
        found: what the step found.
        learning_rate: the stage's.
        ranks: number of ranks.

    Raises:
        Diverged: naming step, values and samples.
    """
    if bool(torch.stack([value.isfinite() for value in (found.mean, *found.norms.values())]).all()):
        return
    guilty = bool(found.mean.isfinite()) or not bool(found.own.isfinite())
    samples = gather(found.samples.tolist() if guilty else [], ranks)
    values = [f"the loss is {float(found.mean):g}"]
    values += [f"the norm of the {name}'s gradient {float(norm):g}" for name, norm in found.norms.items()]
    where = f"After {found.step} optimizer steps, on samples {spans(samples)}, {', '.join(values)}: training stopped "
    if found.step == 0:
        raise Diverged(f"{where}before its first step; look for it in the data, the cell or the initial weights.")
    raise Diverged(
        f"{where}without that step, and the last checkpoint is from before; start again with model.learning_rate "
        f"below {learning_rate:g} (in an experiment file, that of the stage's model.init_args)."
    )


def gather(samples: list[int], ranks: int) -> list[int]:
    """The samples that any rank names; all ranks call this together."""
    if ranks == 1:
        return samples
    everyone: list[list[int]] = [[] for _ in range(ranks)]
    dist.all_gather_object(everyone, samples)
    return [sample for rank in everyone for sample in rank]
