"""One door to all trajectories, with the two gradients that training asks for."""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from memtrain.networks.cells import Cell, StructuredCell
from memtrain.trajectory.adjoint import scan_adjoint
from memtrain.trajectory.newton import NewtonOptions, newton
from memtrain.trajectory.picard import picard
from memtrain.trajectory.recurrence import Recurrence
from memtrain.trajectory.scan import preceding
from memtrain.trajectory.sequential import sequential
from memtrain.trajectory.solution import Trajectory

Method = Literal["sequential", "picard", "newton"]
Gradient = Literal["detached", "through_time"]
Adjoint = Literal["auto", "autograd", "scan"]


def solve(
    cell: Cell,
    memory: Tensor,
    embeddings: Tensor,
    method: Method = "sequential",
    guess: Tensor | None = None,
    sweeps: int = 1,
    options: NewtonOptions | None = None,
    adjoint: Adjoint = "auto",
) -> Trajectory:
    """The trajectory of `cell` by the method of that name.

    Args:
        cell: the update f.
        memory: the memory to start from, `[B, K, D]`.
        embeddings: embedded inputs, `[B, T, D]`.
        method: sequential, picard or newton.
        guess: the teacher's memories `[B, T, K, D]`, which picard starts from, and newton if its options say so.
        sweeps: picard's sweeps.
        options: newton's; None: its defaults.
        adjoint: how a sequential trajectory is differentiated: see `scans_adjoint`.

    Raises:
        ValueError: if picard has no guess.
    """
    if method == "newton":
        return newton(cell, memory, embeddings, options, guess)
    if method == "picard":
        if guess is None:
            raise ValueError("trajectory is picard, but there is no guess; give the teacher's memories.")
        return picard(cell, guess, memory, embeddings, sweeps)
    if torch.is_grad_enabled() and scans_adjoint(cell, adjoint):
        return scan_adjoint(cell, memory, embeddings)
    return sequential(cell, memory, embeddings)


def scans_adjoint(cell: Cell, adjoint: Adjoint) -> bool:
    """Whether a sequential trajectory is back-propagated by one parallel scan, not by autograd step after step.

    Both are exact. auto: a scan where it measures faster, which is for cells with a diagonal Jacobian.
    """
    return adjoint == "scan" or (adjoint == "auto" and isinstance(cell, StructuredCell) and cell.components == 1)


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
    options: NewtonOptions | None = None,
    adjoint: Adjoint = "auto",
) -> Trajectory:
    """On-policy memories at the labelled steps, ready for a loss.

    `through_time` differentiates the whole trajectory. `detached` solves it without gradient, then makes all labelled
    transitions again in one batched step with gradient, so that no gradient path is longer than one step (method:
    section 5); for picard that step is one more sweep.

    Args:
        cell: the update f.
        memory: the memory to start from, `[B, K, D]`.
        embeddings: embedded inputs, `[B, T, D]`.
        labels: int64 `[L]` in `0..T-1`, the steps whose memories are wanted.
        method: sequential, picard or newton.
        gradient: through_time or detached.
        guess: the teacher's memories, `[B, T, K, D]`, for picard and newton.
        sweeps: picard's sweeps.
        truncation: sequential and through_time only: cut the gradient path every so many steps; None: never.
        options: newton's; None: its defaults.
        adjoint: how a sequential trajectory is differentiated: see `scans_adjoint`.

    Returns:
        The trajectory, with states `[B, L, K, D]` and converged `[B, L]` of the labelled steps alone.
    """
    if truncation is not None:
        parts = []
        for part in embeddings.split(truncation, dim=1):
            parts.append(sequential(cell, memory, part).states)
            memory = parts[-1][:, -1].detach()
        return Trajectory.known(torch.cat(parts, dim=1)[:, labels], embeddings.shape[1])
    with torch.set_grad_enabled(torch.is_grad_enabled() and gradient == "through_time"):
        whole = solve(cell, memory, embeddings, method, guess, sweeps, options, adjoint)
    if gradient == "through_time":
        return replace(whole, states=whole.states[:, labels], converged=whole.converged[:, labels])
    alpha = options.alpha if options is not None and method == "newton" else 0.0
    transitions = Recurrence.of(cell, embeddings, guess, alpha).take(slice(None), labels)
    before = preceding(memory, whole.states.to(memory.dtype))[:, labels]
    known = torch.cat([torch.ones_like(whole.converged[:, :1]), whole.converged[:, :-1]], dim=1)[:, labels]
    return replace(whole, states=transitions.step(before), converged=known)
