"""Stage `teacher`: the encoder-decoder alone learns predictive memories."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from memtrain.limits import require_at_least
from memtrain.metrics.flops import teacher_flops
from memtrain.networks import Teacher
from memtrain.objectives import count_futures, futures, sample_timesteps, uniformity
from memtrain.training.memory import MemoryModule
from memtrain.training.step import Outcome, Step

UNIFORMITY_SAMPLES = 512
"""Vectors whose pairs the uniformity loss compares (as in the authors' code)."""


class TeacherModule(MemoryModule):
    """Trains encoder E and decoder D on `L_dec + L_unif` (Kumar & Isola, arXiv 2606.06479).

    Args:
        timesteps_per_sequence: memories trained in each sequence, N; null: all T of them.
        timestep_sampling: uniform; or targets: half of the draws from timesteps that bear a target, so that a probe
            whose only target is the last position trains that position in every step.
        future_length: targets decoded from each memory, Tf (`y_t .. y_{t+Tf-1}`); null: to the end of the sequence.
        decoding_weight: weight of the decoding loss.
        uniformity_weight: weight of the uniformity loss; 0 lets memories collapse.
        uniformity_over: tokens: pairs of single memory tokens (authors' code); memories: pairs of whole memories
            (paper).
        kwargs: see MemoryModule.
    """

    stage: ClassVar[str] = "teacher"

    def __init__(
        self,
        timesteps_per_sequence: int | None = 4,
        timestep_sampling: Literal["uniform", "targets"] = "uniform",
        future_length: int | None = None,
        decoding_weight: float = 1.0,
        uniformity_weight: float = 0.001,
        uniformity_over: Literal["tokens", "memories"] = "tokens",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_draws(timesteps_per_sequence, timestep_sampling, future_length)
        if self.network.readout != "decoder":
            raise ValueError(
                f"network.readout is {self.network.readout}, but stage {self.stage} reads memories with the teacher's "
                "decoder; set it to decoder."
            )
        self.timesteps_per_sequence, self.timestep_sampling = timesteps_per_sequence, timestep_sampling
        self.future_length, self.decoding_weight = future_length, decoding_weight
        self.uniformity_weight, self.uniformity_over = uniformity_weight, uniformity_over
        self.teacher: Teacher = Teacher(self.network, self.interface)

    def requires(self) -> tuple[str, ...]:
        """What it starts from must have a teacher; it may start from nothing."""
        return ("teacher",) if self.source else ()

    def losses(self, step: Step) -> Outcome:
        """`L_dec` and `L_unif` at the sampled timesteps."""
        timesteps = self.draw_timesteps(step)
        memories = self.teacher.encode(step.batch.inputs, timesteps)
        flops = teacher_flops(self.teacher, step.length, self.future_length)
        return Outcome(self.memory_losses(step, timesteps, memories), flops)

    def draw_timesteps(self, step: Step) -> Tensor:
        """The step's timesteps, one draw shared by the batch: int64 `[N]`, ascending."""
        bearing = step.targets.cpu() > 0 if self.timestep_sampling == "targets" else None
        count = self.timesteps_per_sequence or step.length
        drawn = sample_timesteps(step.length, count, step.generator("timesteps"), bearing)
        return drawn.to(step.batch.inputs.device)

    def memory_losses(self, step: Step, timesteps: Tensor, memories: Tensor) -> dict[str, Tensor]:
        """What makes memories predictive states: the decoding and the uniformity loss, weighted.

        Args:
            step: `[B, T]` inputs and targets.
            timesteps: int64 `[N]`.
            memories: `m_t` at those, `[B, N, K, D]`.
        """
        future = futures(step.batch, timesteps, self.future_length)
        parameters = self.teacher.decode(memories, future.inputs, future.wanted, future.ahead)
        errors = self.teacher.head.loss(parameters, future.targets, future.mask)
        count = count_futures(step.targets, timesteps, self.future_length)
        terms = {"decoding": self.decoding_weight * step.masked_mean(errors, future.mask, count)}
        if self.uniformity_weight:
            terms["uniformity"] = self.uniformity_weight * self.uniformity(step, memories)
        return terms

    def uniformity(self, step: Step, memories: Tensor) -> Tensor:
        """`L_unif` of some of the step's memories `[B, N, K, D]`, or of their tokens.

        Raises:
            ValueError: for a single memory, which has no pair.
        """
        vectors = memories.flatten(0, 2) if self.uniformity_over == "tokens" else memories.flatten(2).flatten(0, 1)
        if len(vectors) < 2:
            raise ValueError(
                f"uniformity_weight is {self.uniformity_weight}, but uniformity compares pairs, and a micro-batch has "
                "one memory; raise data.batch_size or model.timesteps_per_sequence, or set it to 0."
            )
        chosen = torch.randperm(len(vectors), generator=step.generator("uniformity"))[:UNIFORMITY_SAMPLES]
        return uniformity(vectors[chosen.to(vectors.device)])


def require_draws(count: int | None, sampling: str, future_length: int | None) -> None:
    """Refuse draws of timesteps and futures that train nothing.

    Raises:
        ValueError: naming option, value and remedy.
    """
    if count is not None:
        require_at_least("model.timesteps_per_sequence", count, 1, example="8, or null for all")
    if future_length is not None:
        require_at_least("model.future_length", future_length, 1, example="4, or null for all to the end")
    if sampling == "targets" and count == 1:
        raise ValueError(
            "timesteps_per_sequence is 1, but timestep_sampling targets takes half of them, rounded up, where a target "
            "is, and would never train another; set it to at least 2, or timestep_sampling to uniform."
        )
