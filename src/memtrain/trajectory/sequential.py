"""Sequential rollout: the definition of a trajectory, and the oracle of every faster way."""

import torch
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.trajectory.casts import STEPS_PER_CAST, shared_casts
from memtrain.trajectory.solution import Trajectory


def sequential(cell: Cell, memory: Tensor, embeddings: Tensor) -> Trajectory:
    """Roll a cell out on its own memories, one step after the other.

    Under autocast in stretches, each of which casts the weights once.

    Args:
        cell: the update f.
        memory: the memory to start from, `[B, K, D]`.
        embeddings: embedded inputs, `[B, T, D]`.

    Returns:
        The trajectory; always converged, T sequential steps.
    """
    device, length = embeddings.device.type, embeddings.shape[1]
    if not torch.is_autocast_enabled(device):
        return Trajectory.known(cell.rollout(memory, embeddings), length)
    stretches = []
    for stretch in embeddings.split(STEPS_PER_CAST, dim=1):
        with shared_casts(device):
            stretches.append(cell.rollout(memory, stretch))
        memory = stretches[-1][:, -1]
    return Trajectory.known(torch.cat(stretches, dim=1), length)
