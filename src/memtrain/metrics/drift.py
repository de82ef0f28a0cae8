"""Drift: how far a rollout's memories are from the teacher's, over time and relative to their spread."""

import torch
from torch import Tensor
from torchmetrics import Metric


def drift_curve(rollout: Tensor, teacher: Tensor) -> Tensor:
    """`MSE(m^_t, m_t)` at each timestep.

    Args:
        rollout: the RNN's own memories `m^_t`, `[B, T, K, D]`.
        teacher: the teacher's memories `m_t`, `[B, T, K, D]`.

    Returns:
        `[T]`, averaged over samples and memory entries.
    """
    return (rollout - teacher).square().mean((0, 2, 3))


class Drift(Metric):
    """Drift accumulated over batches; exact for uneven batches and over ranks.

    `compute` returns a dictionary:

    - `curve`: `MSE(m^_t, m_t)` against t, `[T]`;
    - `mean`: its mean over t;
    - `equilibrium`: its mean over the last quarter of the timesteps (rounded up);
    - `relative`: `mean` / variance of the teacher's memories (over samples and time, averaged over the K * D
      entries): 1 is no better than their mean. The mean squared error alone is 0 for a collapsed memory.

    All batches between two resets must have the same T, K and D, and every rank must see at least one batch.
    """

    full_state_update = False
    error_sum: Tensor
    samples: Tensor
    teacher_sum: Tensor
    teacher_square_sum: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("error_sum", "teacher_sum", "teacher_square_sum"):
            # Scalars that the first batch broadcasts to its own sizes.
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("samples", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, rollout: Tensor, teacher: Tensor) -> None:
        """Take in a batch.

        Args:
            rollout: the RNN's own memories `m^_t`, `[B, T, K, D]`.
            teacher: the teacher's memories `m_t`, `[B, T, K, D]`.
        """
        # The variance is a small difference of large sums where memories have collapsed. MPS has no float64.
        precise = torch.float32 if teacher.device.type == "mps" else torch.float64
        rollout, teacher = rollout.detach().to(precise), teacher.detach().to(precise)
        self.error_sum = self.error_sum + len(teacher) * drift_curve(rollout, teacher)
        entries = teacher.flatten(2).flatten(0, 1)  # [B * T, K * D]
        self.teacher_sum = self.teacher_sum + entries.sum(0)
        self.teacher_square_sum = self.teacher_square_sum + entries.square().sum(0)
        self.samples = self.samples + len(teacher)

    def compute(self) -> dict[str, Tensor]:
        """The curve `[T]` and the three numbers of the class's docstring, float32."""
        curve = self.error_sum / self.samples
        count = self.samples * len(curve)
        variance = (self.teacher_square_sum / count - (self.teacher_sum / count).square()).mean()
        quarter = -(-len(curve) // 4)
        drift = {
            "curve": curve,
            "mean": curve.mean(),
            "equilibrium": curve[-quarter:].mean(),
            "relative": curve.mean() / variance,
        }
        return {name: value.float() for name, value in drift.items()}
