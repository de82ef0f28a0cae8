"""The whole memory trajectory of a cell, and its gradients.

`sequential` is the oracle; `picard` sweeps, parallel in time; `newton` solves all timesteps at once, exactly;
`scan_adjoint` back-propagates through a sequential rollout by one parallel scan.
"""

from memtrain.trajectory.adjoint import scan_adjoint
from memtrain.trajectory.newton import NewtonOptions, newton
from memtrain.trajectory.picard import picard
from memtrain.trajectory.recurrence import Recurrence
from memtrain.trajectory.rollout import Adjoint, Gradient, Method, roll_out, scans_adjoint, solve
from memtrain.trajectory.scan import linear_recurrence
from memtrain.trajectory.sequential import sequential
from memtrain.trajectory.solution import Fallback, Trajectory

__all__ = [
    "Adjoint",
    "Fallback",
    "Gradient",
    "Method",
    "NewtonOptions",
    "Recurrence",
    "Trajectory",
    "linear_recurrence",
    "newton",
    "picard",
    "roll_out",
    "scan_adjoint",
    "scans_adjoint",
    "sequential",
    "solve",
]
