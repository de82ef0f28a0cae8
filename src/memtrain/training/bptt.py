"""Stage `bptt`: back-propagation through time: the baseline, and the finetuning that can pass the teacher's ceiling."""

from typing import Any, ClassVar

from torch import Tensor

from memtrain.batch import SequenceBatch
from memtrain.metrics.flops import bptt_flops, dmt_flops
from memtrain.training.rollout import RolloutModule


class BPTTModule(RolloutModule):
    """Trains f and g on the cross-entropy along the unrolled sequence (method: section 5).

    From scratch it is the baseline; from `init_from` it finetunes what SMT and DMT have trained.

    Args:
        truncation: cut the gradient path every so many steps; null: never.
        kwargs: see RolloutModule and MemoryModule.
    """

    stage: ClassVar[str] = "bptt"

    def __init__(self, truncation: int | None = None, **kwargs: Any) -> None:
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
        self.truncation = truncation
        if self.needs_teacher:
            self.add_frozen_teacher()

    def requires(self) -> tuple[str, ...]:
        """Starting from the teacher's memories needs a teacher; finetuning needs an RNN; the baseline needs nothing."""
        if self.needs_teacher:
            return ("teacher", "rnn")
        return ("rnn",) if self.source else ()

    def losses(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Cross-entropy at the labelled steps that bear targets."""
        rollout = self.roll(batch, self.truncation)
        self.count_gradient_steps(self.gradient_chain(rollout.window, self.truncation))
        return {"readout": self.readout_loss(batch, rollout, detach=False)}

    def sequential_flops(self, batch: SequenceBatch) -> int:
        """See `memtrain.metrics.flops`."""
        length = batch.inputs.shape[1]
        steps, through_time = self.sequential_steps(self.window(length)), self.unrolls_backward
        if self.teacher is None:
            return bptt_flops(self.rnn, steps, through_time)
        return dmt_flops(self.teacher, self.rnn, length, steps, through_time)
