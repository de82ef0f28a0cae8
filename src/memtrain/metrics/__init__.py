"""What is measured: functions of tensors, and torchmetrics that are exact over uneven batches and ranks."""

from memtrain.metrics.drift import Drift, drift_curve, future_divergence
from memtrain.metrics.event_time import event_time_error
from memtrain.metrics.flops import rollout_flops, smt_flops, teacher_flops
from memtrain.metrics.gradient_profile import GradientProfile, rnn_gradient_profile, teacher_gradient_profile
from memtrain.metrics.prediction import Prediction
from memtrain.metrics.rank import effective_rank

__all__ = [
    "Drift",
    "GradientProfile",
    "Prediction",
    "drift_curve",
    "effective_rank",
    "event_time_error",
    "future_divergence",
    "rnn_gradient_profile",
    "rollout_flops",
    "smt_flops",
    "teacher_flops",
    "teacher_gradient_profile",
]
