"""Trajectory: what every solver returns: the states, and whether they are the cell's own rollout."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Trajectory:
    """The memories of a rollout.

    Attributes:
        states: `[B, T, K, D]`, the memory after each input.
        converged: bool `[B, T]`, True where the state is known to be the cell's own rollout from the initial memory.
        sequential_steps: cell evaluations that had to follow one another.
    """

    states: Tensor
    converged: Tensor
    sequential_steps: int
