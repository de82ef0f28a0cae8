"""Stage `bptt`: back-propagation through time: the baseline, and the finetuning that can pass the teacher's ceiling."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from memtrain.batch import SequenceBatch
from memtrain.metrics.flops import bptt_flops, dmt_flops
from memtrain.training.rollout import RolloutModule

FRUITLESS_STEPS = 10
"""Steps in a row without a target at any label after which BPTT stops."""


class BPTTModule(RolloutModule):
    """Trains f and g on the cross-entropy along the unrolled sequence.

    From scratch it is the baseline; from `init_from` it finetunes what SMT and DMT have trained. It keeps a teacher,
    and measures drift against it, only where it starts from the teacher's memories.

    Args:
        truncation: cut the gradient path every so many steps; null: never.
        kwargs: see RolloutModule and MemoryModule.
    """

    stage: ClassVar[str] = "bptt"

    def __init__(self, truncation: int | None = None, **kwargs: Any) -> None:
        self.truncation = truncation  # first: it decides how a cell is going to be differentiated, which is checked
        super().__init__(**kwargs)
        if truncation is not None and (
            truncation < 1 or self.trajectory != "sequential" or self.gradient == "detached"
        ):
            raise ValueError(
                f"truncation is {truncation}, but needs to be at least 1, with trajectory sequential and gradient "
                "through_time; set it to null to back-propagate through everything."
            )
        if truncation is not None and self.adjoint == "scan":
            raise ValueError(
                f"adjoint is scan, but truncation is {truncation}; set adjoint to autograd, or truncation to null."
            )
        self.fruitless = 0
        self.step_targets = torch.zeros(0, dtype=torch.int64)
        if self.needs_teacher:
            self.add_frozen_teacher()

    def requires(self) -> tuple[str, ...]:
        """Starting from the teacher's memories needs a teacher; finetuning needs an RNN; the baseline needs nothing."""
        if self.needs_teacher:
            return ("teacher", "rnn")
        return ("rnn",) if self.source else ()

    def losses(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Cross-entropy at the labelled steps that bear targets."""
        rollout = self.roll(batch)
        self.step_targets = self.count_targets(batch)
        self.count_gradient_steps(self.gradient_chain(rollout.window))
        return {"readout": self.readout_loss(batch, rollout, detach=False)}

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> Tensor:
        """See RolloutModule; refuses to go on in vain."""
        loss = super().training_step(batch, batch_idx)
        self.require_targets()
        return loss

    def require_targets(self) -> None:
        """Refuse to go on where step after step no label bears a target, so that nothing is trained.

        Windows from the teacher's memories may miss a lone target many times, and train on it now and then.

        Raises:
            ValueError: after `FRUITLESS_STEPS` such steps, if rollouts start at the initial memory.
        """
        if self.start == "teacher":
            return
        counts = self.step_targets
        window = self.window(len(counts))
        labelled = counts[:window][self.label_stride - 1 :: self.label_stride]
        missed = bool(counts.any() & ~labelled.any())  # one wait for a GPU, not two
        self.fruitless = self.fruitless + 1 if missed else 0
        if self.fruitless >= FRUITLESS_STEPS:
            raise ValueError(
                f"model.label_stride is {self.label_stride} and rollout_length {window}, but in {FRUITLESS_STEPS} "
                "steps no labelled timestep has borne a target, so that nothing is trained; set model.label_stride to "
                "1, or model.rollout_length to null."
            )

    def sequential_flops(self, batch: SequenceBatch) -> int:
        """See `memtrain.metrics.flops`."""
        length = batch.inputs.shape[1]
        steps, through_time = self.sequential_steps(self.window(length)), self.unrolls_backward
        if self.teacher is None:
            return self.scan_flops + bptt_flops(self.rnn, steps, through_time, self.truncation)
        return self.scan_flops + dmt_flops(self.teacher, self.rnn, length, steps, through_time, self.truncation)
