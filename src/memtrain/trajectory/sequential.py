"""Sequential rollout: the definition of a trajectory, and the oracle of every faster way."""

import torch
from torch import Tensor

from memtrain.networks.cells import Cell
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
    states = cell.rollout(memory, embeddings)
    converged = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
    return Trajectory(states, converged, embeddings.shape[1])
