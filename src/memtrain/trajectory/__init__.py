"""The whole memory trajectory of a cell: `sequential` (the oracle), `picard` (parallel sweeps), and gradients."""

from memtrain.trajectory.picard import picard
from memtrain.trajectory.rollout import Gradient, Method, roll_out, solve
from memtrain.trajectory.sequential import sequential
from memtrain.trajectory.solution import Trajectory

__all__ = ["Gradient", "Method", "Trajectory", "picard", "roll_out", "sequential", "solve"]
