"""What stops a run whose numbers are no longer finite, before they reach a weight."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from memtrain.spans import spans


class Diverged(ValueError):
    """The loss or a gradient is NaN or infinite; no weight has been changed by it and nothing is saved afterwards."""


@dataclass(frozen=True)
class StepLoss:
    """What the forward pass of a training step has found.

    Attributes:
        own: this rank's loss, a scalar.
        mean: the mean of all ranks' losses, a scalar.
        samples: int64 `[B]`, this rank's positions in the training stream.
    """

    own: Tensor
    mean: Tensor
    samples: Tensor

    def require_finite(self, norms: Mapping[str, Tensor], step: int, learning_rate: float, ranks: int) -> None:
        """Stop, on all ranks at once, where the loss or a gradient is NaN or infinite.

        The gradients are the same on all ranks and so is the mean of the losses: all ranks decide alike. A GPU is made
        to wait for the norms alone, since the stopwatch has just waited for the backward pass.

        Args:
            norms: of the gradients, by network; empty where they may be infinite (float16's scaler deals with that).
            step: optimizer steps done.
            learning_rate: the stage's.
            ranks: number of ranks.

        Raises:
            Diverged: naming step, values and samples.
        """
        if bool(torch.stack([value.isfinite() for value in (self.mean, *norms.values())]).all()):
            return
        guilty = bool(self.mean.isfinite()) or not bool(self.own.isfinite())
        samples = gather(self.samples.tolist() if guilty else [], ranks)
        values = [f"the loss is {float(self.mean):g}"]
        values += [f"the norm of the {name}'s gradient {float(norm):g}" for name, norm in norms.items()]
        where = f"After {step} optimiser steps, on samples {spans(samples)}, {', '.join(values)}: training stopped "
        if step == 0:
            raise Diverged(f"{where}before its first step; look for it in the data, the cell or the initial weights.")
        raise Diverged(
            f"{where}without that step, and the last checkpoint is from before; start again with model.learning_rate "
            f"below {learning_rate:g} (in an experiment file, that of the stage's model.init_args)."
        )


def gather(samples: list[int], ranks: int) -> list[int]:
    """The samples that any rank names; called on all ranks together."""
    if ranks == 1:
        return samples
    everyone: list[list[int]] = [[] for _ in range(ranks)]
    dist.all_gather_object(everyone, samples)
    return [sample for rank in everyone for sample in rank]
