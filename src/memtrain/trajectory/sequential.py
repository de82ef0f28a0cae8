"""Sequential rollout: the definition of a trajectory, and the oracle of every faster way."""

import torch
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.trajectory.casts import STEPS_PER_CAST, shared_casts
from memtrain.trajectory.solution import Trajectory


def sequential(cell: Cell, memory: Tensor, embeddings: Tensor) -> Trajectory:
    """Roll a cell out on its own memories, one step after the other.

    Args:
        cell: the update f.
        memory: the memory to start from, `[B, K, D]`.
        embeddings: embedded inputs, `[B, T, D]`.

    Returns:
        The trajectory; always converged, T sequential steps.
    """
    states = unroll(cell, memory, embeddings)
    converged = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
    return Trajectory(states, converged, embeddings.shape[1])


def unroll(cell: Cell, memory: Tensor, embeddings: Tensor) -> Tensor:
    """`cell.rollout`; under autocast in stretches that cast the weights once each.

    Args:
        cell: the update f.
        memory: the memory to start from, `[B, K, D]`.
        embeddings: embedded inputs, `[B, T, D]`.

    Returns:
        `[B, T, K, D]`.
    """
    device = embeddings.device.type
    if not torch.is_autocast_enabled(device):
        return cell.rollout(memory, embeddings)
    stretches = []
    for stretch in embeddings.split(STEPS_PER_CAST, dim=1):
        with shared_casts(device):
            stretches.append(cell.rollout(memory, stretch))
        memory = stretches[-1][:, -1]
    return torch.cat(stretches, dim=1)
