"""One door to all trajectories, with the two gradients that training asks for."""

from typing import Literal

import torch
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.trajectory.picard import picard
from memtrain.trajectory.sequential import sequential
from memtrain.trajectory.solution import Trajectory

Method = Literal["sequential", "picard"]
Gradient = Literal["detached", "through_time"]


def solve(
    cell: Cell,
    memory: Tensor,
    embeddings: Tensor,
    method: Method,
    guess: Tensor | None = None,
    sweeps: int = 1,
) -> Trajectory:
    """The trajectory of `cell` by the method of that name.

    Args:
        cell: the update f.
        memory: the memory to start from, `[B, K, D]`.
        embeddings: embedded inputs, `[B, T, D]`.
        method: sequential or picard.
        guess: what picard starts from, `[B, T, K, D]`.
        sweeps: picard's sweeps.

    Raises:
        ValueError: if picard has no guess.
    """
    if method == "sequential":
        return sequential(cell, memory, embeddings)
    if guess is None:
        raise ValueError("trajectory is picard, but there is no guess; give the teacher's memories.")
    return picard(cell, guess, memory, embeddings, sweeps)


def roll_out(
    cell: Cell,
    memory: Tensor,
    embeddings: Tensor,
    labels: Tensor,
    method: Method = "sequential",
    gradient: Gradient = "through_time",
    guess: Tensor | None = None,
    sweeps: int = 1,
    truncation: int | None = None,
) -> Tensor:
    """On-policy memories at the labelled steps, ready for a loss.

    `through_time` differentiates the whole trajectory. `detached` solves it without gradient, then makes all labelled
    transitions again in one batched step with gradient, so that no gradient path is longer than one step (method:
    section 5); for picard that step is one more sweep.

    Args:
        cell: the update f.
        memory: the memory to start from, `[B, K, D]`.
        embeddings: embedded inputs, `[B, T, D]`.
        labels: int64 `[L]` in `0..T-1`, the steps whose memories are wanted.
        method: sequential or picard.
        gradient: through_time or detached.
        guess: what picard starts from, `[B, T, K, D]`.
        sweeps: picard's sweeps.
        truncation: through_time only: cut the gradient path every so many steps; None: never.

    Returns:
        `[B, L, K, D]`.
    """
    if gradient == "through_time":
        if truncation is None:
            return solve(cell, memory, embeddings, method, guess, sweeps).states[:, labels]
        parts = []
        for part in embeddings.split(truncation, dim=1):
            parts.append(sequential(cell, memory, part).states)
            memory = parts[-1][:, -1].detach()
        return torch.cat(parts, dim=1)[:, labels]
    with torch.no_grad():
        states = solve(cell, memory, embeddings, method, guess, sweeps).states
    before = torch.cat([memory.unsqueeze(1), states[:, :-1].to(memory.dtype)], dim=1)[:, labels]
    after = cell.step(before.flatten(0, 1), embeddings[:, labels].flatten(0, 1))
    return after.unflatten(0, before.shape[:2])
