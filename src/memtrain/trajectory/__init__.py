"""The whole memory trajectory of a cell: `sequential` (the oracle) and `picard` (parallel sweeps)."""

from memtrain.trajectory.picard import picard
from memtrain.trajectory.sequential import sequential
from memtrain.trajectory.solution import Trajectory

__all__ = ["Trajectory", "picard", "sequential"]
