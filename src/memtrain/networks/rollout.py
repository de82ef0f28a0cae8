"""The rollout of a cell: the definition of a trajectory, and the oracle of every faster way."""

import torch
from torch import Tensor

from memtrain.networks.casts import STEPS_PER_CAST, shared_casts
from memtrain.networks.cells.base import Cell


def rollout(cell: Cell, memory: Tensor, inputs: Tensor) -> Tensor:
    """Roll a cell out on its own memories, one step after the other.

    Under autocast it goes in stretches, each of which casts the weights once.

    Args:
        cell: the update f.
        memory: the memory to start from, `[B, K, D]`.
        inputs: embedded inputs, `[B, T, D]`.

    Returns:
        The memory after each input, `[B, T, K, D]`.
    """
    device = inputs.device.type
    if not torch.is_autocast_enabled(device):
        return cell.rollout(memory, inputs)
    stretches = []
    for stretch in inputs.split(STEPS_PER_CAST, dim=1):
        with shared_casts(device):
            stretches.append(cell.rollout(memory, stretch))
        memory = stretches[-1][:, -1]
    return torch.cat(stretches, dim=1)
