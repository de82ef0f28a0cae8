"""Drift: how far a rollout's memories are from the teacher's, over time, relative to their spread, and in function."""

import torch
from torch import Tensor
from torchmetrics import Metric

from memtrain.batch import SequenceBatch
from memtrain.networks import Teacher
from memtrain.objectives import futures

COMPARED_SAMPLES, COMPARED_TIMESTEPS = 32, 4
"""How many samples' futures are decoded, and from how many memories of each."""


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
    - `relative`: `mean` / variance of the teacher's memories within each timestep (over samples, averaged over
      timesteps and the K * D entries): 1 is no better than a clock, memories that depend on t alone. The mean squared
      error alone is 0 for a collapsed memory, and over the variance over time too a clock would look good.

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
            # Scalars that the first batch broadcasts to its own sizes, [T] and [T, K * D].
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
        entries = teacher.flatten(2)  # [B, T, K * D]
        self.teacher_sum = self.teacher_sum + entries.sum(0)
        self.teacher_square_sum = self.teacher_square_sum + entries.square().sum(0)
        self.samples = self.samples + len(teacher)

    def compute(self) -> dict[str, Tensor]:
        """The curve `[T]` and the three numbers of the class's docstring, float32."""
        curve = self.error_sum / self.samples
        variance = (self.teacher_square_sum / self.samples - (self.teacher_sum / self.samples).square()).mean()
        quarter = -(-len(curve) // 4)
        drift = {
            "curve": curve,
            "mean": curve.mean(),
            "equilibrium": curve[-quarter:].mean(),
            "relative": curve.mean() / variance,
        }
        return {name: value.float() for name, value in drift.items()}


def future_divergence(
    teacher: Teacher, rollout: Tensor, memories: Tensor, batch: SequenceBatch
) -> tuple[Tensor, Tensor] | None:
    """`KL(D(m_t, ..) || D(m^_t, ..))`: what the teacher's decoder foretells from its own memory and from the RNN's.

    A distance of memories says nothing of how much they matter: this is 0 where the RNN's memories, however far, mean
    the same. Taken at some timesteps, the last among them, over their whole futures, of the first samples of a batch. A
    teacher that was trained on short futures is asked for more than it knows, from both memories alike.

    Args:
        teacher: whose decoder it is.
        rollout: the RNN's own memories `m^_t`, `[B, T, K, D]`.
        memories: the teacher's `m_t`, `[B, T, K, D]`.
        batch: `[B, T]`, whose inputs the decoder sees.

    Returns:
        Nats and whether there is a target, `[B', N, P]` each; None where the head knows no divergence.
    """
    length = batch.inputs.shape[1]
    wanted = range(1, min(COMPARED_TIMESTEPS, length) + 1)
    timesteps = torch.tensor([length * i // len(wanted) - 1 for i in wanted], device=rollout.device)
    future = futures(batch.map(lambda part: part[:COMPARED_SAMPLES]), timesteps, length=None)
    own, other = (
        teacher.decode(states[:COMPARED_SAMPLES, timesteps], future.inputs, future.wanted, future.ahead)
        for states in (memories, rollout)
    )
    nats = teacher.head.divergence(own, other)
    return None if nats is None else (nats, future.mask)
