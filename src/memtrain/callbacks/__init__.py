"""What TensorBoard shows beside the plain curves; without a TensorBoard logger each of these does nothing."""

from memtrain.callbacks.axes import Axes
from memtrain.callbacks.drift_curve import DriftCurve
from memtrain.callbacks.hyperparameters import Hyperparameters, write_hyperparameters
from memtrain.callbacks.memory_geometry import MemoryGeometry
from memtrain.callbacks.samples import Samples

__all__ = ["Axes", "DriftCurve", "Hyperparameters", "MemoryGeometry", "Samples", "write_hyperparameters"]
