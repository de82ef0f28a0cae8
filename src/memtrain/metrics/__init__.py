"""What is measured: functions of tensors, and torchmetrics that are exact over uneven batches and ranks."""

from memtrain.metrics.drift import Drift, drift_curve
from memtrain.metrics.flops import bptt_flops, dmt_flops, forward_flops, smt_flops, teacher_flops
from memtrain.metrics.gradient_profile import GradientProfile, rnn_gradient_profile, teacher_gradient_profile
from memtrain.metrics.lyapunov import largest_lyapunov_exponent
from memtrain.metrics.prediction import Prediction
from memtrain.metrics.rank import effective_rank

__all__ = [
    "Drift",
    "GradientProfile",
    "Prediction",
    "bptt_flops",
    "dmt_flops",
    "drift_curve",
    "effective_rank",
    "forward_flops",
    "largest_lyapunov_exponent",
    "rnn_gradient_profile",
    "smt_flops",
    "teacher_flops",
    "teacher_gradient_profile",
]
