"""The terms of the losses, one value for each thing they are taken over; `masked_mean` makes scalars of them."""

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Negative log-likelihood of each target, in nats; 0 where there is none.

    Args:
        logits: `[..., V]`.
        targets: int64 `[...]`, any class where there is no target.
        mask: bool `[...]`, True where there is a target.

    Returns:
        `[...]`, float32 or better.
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    losses = F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    return losses.view(targets.shape).masked_fill(~mask, 0.0)


def memory_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each memory, the dynamics loss `L_dyn` and the imitation loss of DMT.

    Args:
        prediction: `[..., K, D]`.
        target: `[..., K, D]`.

    Returns:
        `[...]`.
    """
    return (prediction - target).square().mean((-2, -1))


def memory_variance(memories: Tensor) -> Tensor:
    """The variance of memories over samples and timesteps, mean over their numbers.

    Args:
        memories: `[B, N, K, D]`.

    Returns:
        A scalar, at least 1e-4: what collapses anyway is not blown up.
    """
    return memories.flatten(0, 1).var(dim=0, correction=0).mean().clamp(min=1e-4)


def uniformity(vectors: Tensor) -> Tensor:
    """`log mean exp(-2 ||u_a - u_b||^2)` over pairs a != b of unit vectors: 0 = collapsed, about -4 = spread.

    Gram matrix in float32, because `pdist` has neither half precision nor a backward for many vectors on CUDA.

    Args:
        vectors: `[S, D]`, not yet of unit length; S at least 2.

    Returns:
        A scalar.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        units = F.normalize(vectors if vectors.dtype == torch.float64 else vectors.float(), dim=-1)
        exponents = 4.0 * (units @ units.T) - 4.0  # -2 ||a - b||^2 = 4 a.b - 4 for unit vectors
        itself = torch.eye(len(units), dtype=torch.bool, device=units.device)
        pairs = len(units) * (len(units) - 1)
        return exponents.masked_fill(itself, -torch.inf).flatten().logsumexp(0) - torch.tensor(float(pairs)).log()
