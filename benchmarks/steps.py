"""An optimizer step, made in exactly the same way on both sides."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

LEARNING_RATE, WEIGHT_DECAY, BETAS, CLIP = 3e-4, 0.01, (0.9, 0.95), 1.0
"""AdamW and the largest gradient norm, as in the authors' training scripts."""


class OptimizerStep:
    """Forward, backward, clipping of each network on its own, optimizer step.

    Args:
        loss: computes the loss to minimise.
        networks: parameters of each network, for clipping.
        optimizer: steps those that are trained.
    """

    def __init__(
        self, loss: Callable[[], Tensor], networks: Sequence[Sequence[nn.Parameter]], optimizer: torch.optim.Optimizer
    ) -> None:
        self.loss, self.networks, self.optimizer = loss, networks, optimizer

    def __call__(self) -> None:
        """One step."""
        self.optimizer.zero_grad(set_to_none=True)
        self.loss().backward()
        for parameters in self.networks:
            nn.utils.clip_grad_norm_(parameters, CLIP)
        self.optimizer.step()

    def trained_parameters(self) -> int:
        """How many numbers the last step has changed: those of the optimizer that got a gradient."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        return sum(p.numel() for p in parameters if p.grad is not None)
