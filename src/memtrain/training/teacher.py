"""Stage `teacher`: the encoder-decoder alone learns predictive memories."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from memtrain.batch import IGNORE_INDEX, SequenceBatch
from memtrain.metrics.flops import teacher_flops
from memtrain.networks import Teacher
from memtrain.objectives import (
    count_futures,
    cross_entropy,
    futures,
    sample_timesteps,
    step_generator,
    uniformity,
)
from memtrain.options import require_at_least
from memtrain.training.base import MemoryModule

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
    teacher: Teacher

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
        for name, value, example in (
            ("timesteps_per_sequence", timesteps_per_sequence, "8, or null for all"),
            ("future_length", future_length, "4, or null for all to the end"),
        ):
            if value is not None:
                require_at_least(f"model.{name}", value, 1, example)
        if timestep_sampling == "targets" and timesteps_per_sequence == 1:
            raise ValueError(
                "timesteps_per_sequence is 1, but timestep_sampling targets takes half of them, rounded up, where a "
                "target is, and would never train another; set it to at least 2, or timestep_sampling to uniform."
            )
        if self.network.readout != "decoder":
            raise ValueError(
                f"network.readout is {self.network.readout}, but stage {self.stage} reads memories with the teacher's "
                "decoder; set it to decoder."
            )
        self.timesteps_per_sequence, self.timestep_sampling = timesteps_per_sequence, timestep_sampling
        self.future_length = future_length
        self.decoding_weight = decoding_weight
        self.uniformity_weight, self.uniformity_over = uniformity_weight, uniformity_over
        self.teacher = Teacher(self.network, self.vocabulary_size)

    def requires(self) -> tuple[str, ...]:
        """What it starts from must have a teacher; it may start from nothing."""
        return ("teacher",) if self.source else ()

    def losses(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """`L_dec` and `L_unif` at the sampled timesteps."""
        timesteps = self.draw_timesteps(batch)
        memories = self.teacher.encode(batch.inputs, timesteps)
        return self.memory_losses(batch, timesteps, memories)

    def draw_timesteps(self, batch: SequenceBatch) -> Tensor:
        """The step's timesteps, one draw shared by the batch: int64 `[N]`, ascending."""
        length = batch.inputs.shape[1]
        bearing = None
        if self.timestep_sampling == "targets":
            bearing = self.count_targets(batch).cpu() > 0
        generator = step_generator(self.seed, self.global_step, "timesteps")
        count = self.timesteps_per_sequence or length
        return sample_timesteps(length, count, generator, bearing).to(batch.inputs.device)

    def memory_losses(self, batch: SequenceBatch, timesteps: Tensor, memories: Tensor) -> dict[str, Tensor]:
        """What makes memories predictive states: the decoding and the uniformity loss, weighted.

        Args:
            batch: `[B, T]` inputs and targets.
            timesteps: int64 `[N]`.
            memories: `m_t` at those, `[B, N, K, D]`.
        """
        future, targets, wanted = futures(batch.inputs, batch.targets, timesteps, self.future_length)
        logits = self.teacher.decode(memories, future, wanted)
        count = count_futures(self.count_targets(batch), timesteps, self.future_length)
        decoding = self.masked_mean(cross_entropy(logits, targets), targets != IGNORE_INDEX, count)
        terms = {"decoding": self.decoding_weight * decoding}
        if self.uniformity_weight:
            vectors = memories.flatten(0, 2) if self.uniformity_over == "tokens" else memories.flatten(2).flatten(0, 1)
            if len(vectors) < 2:
                raise ValueError(
                    f"uniformity_weight is {self.uniformity_weight}, but uniformity compares pairs, and a micro-batch "
                    "has one memory; raise data.batch_size or model.timesteps_per_sequence, or set it to 0."
                )
            generator = step_generator(self.seed, self.global_step, "uniformity")
            chosen = torch.randperm(len(vectors), generator=generator)[:UNIFORMITY_SAMPLES]
            terms["uniformity"] = self.uniformity_weight * uniformity(vectors[chosen.to(vectors.device)])
        return terms

    def sequential_flops(self, batch: SequenceBatch) -> int:
        """See `memtrain.metrics.flops`."""
        return teacher_flops(self.teacher, batch.inputs.shape[1], self.future_length)
