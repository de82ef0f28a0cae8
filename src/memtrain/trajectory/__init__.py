"""The memory trajectory of a cell, and its gradients.

A `Solver` finds it: `Sequential` is the oracle, one step after the other; `Picard` sweeps over all timesteps at once;
`Newton` solves them all at once, exactly; `Detached` gives the states of any of them a gradient of one step. `Windows`
says where rollouts start, how long they are and which of their steps are labeled.
"""

from memtrain.networks.rollout import rollout
from memtrain.scan import linear_recurrence
from memtrain.trajectory.detached import Detached
from memtrain.trajectory.newton import Newton
from memtrain.trajectory.picard import Picard
from memtrain.trajectory.recurrence import Recurrence
from memtrain.trajectory.sequential import Sequential
from memtrain.trajectory.solution import Fallback, NewtonTrajectory, Trajectory
from memtrain.trajectory.solver import Solver
from memtrain.trajectory.windows import Windows

__all__ = [
    "Detached",
    "Fallback",
    "Newton",
    "NewtonTrajectory",
    "Picard",
    "Recurrence",
    "Sequential",
    "Solver",
    "Trajectory",
    "Windows",
    "linear_recurrence",
    "rollout",
]
