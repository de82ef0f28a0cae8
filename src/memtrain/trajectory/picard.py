"""Picard sweeps: all timesteps at once, from a guess; sweep j holds exact j-step on-policy states."""

import torch
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.trajectory.scan import preceding
from memtrain.trajectory.solution import Trajectory


def picard(cell: Cell, guess: Tensor, memory: Tensor, embeddings: Tensor, sweeps: int) -> Trajectory:
    """Iterate `s^j_t = f(s^{j-1}_{t-1}, x_t)` for all t at once.

    `s^0` is the guess, `s^j_{-1}` the initial memory. With the teacher's memories as the guess, `s^j_t` is exactly the
    rollout that starts at the teacher's memory j steps back; after T sweeps it is the rollout from the initial memory.

    Args:
        cell: the update f.
        guess: `s^0`, `[B, T, K, D]`.
        memory: the initial memory `s_{-1}`, `[B, K, D]`.
        embeddings: embedded inputs, `[B, T, D]`.
        sweeps: number of sweeps, 0 or more; more than T change nothing and are not run.

    Returns:
        The trajectory after `sweeps` sweeps, `converged` for `t < sweeps`.
    """
    batch, length, k, width = guess.shape
    sweeps = min(sweeps, length)
    flat = embeddings.flatten(0, 1)
    states = guess
    for _ in range(sweeps):
        before = preceding(memory.to(states.dtype), states)
        states = cell.step(before.reshape(-1, k, width), flat).view(batch, length, k, width)
    converged = (torch.arange(length, device=guess.device) < sweeps).expand(batch, length)
    return Trajectory(states, converged, sweeps)
