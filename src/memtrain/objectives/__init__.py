"""The losses and the random choices of a step: pure functions of tensors."""

from memtrain.objectives.losses import cross_entropy, memory_error, memory_variance, uniformity
from memtrain.objectives.means import masked_mean
from memtrain.objectives.sampling import sample_starts, sample_timesteps, step_generator
from memtrain.objectives.windows import (
    Futures,
    bearing_timesteps,
    borne,
    count_futures,
    futures,
    targets_per_timestep,
)

__all__ = [
    "Futures",
    "bearing_timesteps",
    "borne",
    "count_futures",
    "cross_entropy",
    "futures",
    "masked_mean",
    "memory_error",
    "memory_variance",
    "sample_starts",
    "sample_timesteps",
    "step_generator",
    "targets_per_timestep",
    "uniformity",
]
