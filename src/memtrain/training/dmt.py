"""Stage `dmt`, DAgger Memory Training: the RNN, on its own memories, learns to stay with the teacher's."""

from typing import Any, ClassVar

from torch import Tensor

from memtrain.batch import SequenceBatch
from memtrain.metrics.flops import dmt_flops
from memtrain.networks import Teacher
from memtrain.objectives import memory_error
from memtrain.training.rollout import RolloutModule


class DMTModule(RolloutModule):
    """Trains f and g, teacher frozen, on `MSE(m^_t, m_t)` along f's own rollout and on `CE(g(m^_t), y_t)`.

    The readout's loss does not reach f: the memories it reads are detached (Kumar & Isola, arXiv 2606.06479).
    With `gradient: through_time` over whole sequences, the defaults, it is BPTT on dense targets: set `start: teacher`
    and a `rollout_length` for windows, or `gradient: detached`.

    Args:
        imitation_weight: weight of the imitation error.
        readout_weight: weight of the readout's cross-entropy.
        kwargs: see RolloutModule and MemoryModule.
    """

    stage: ClassVar[str] = "dmt"
    teacher: Teacher

    def __init__(self, imitation_weight: float = 10.0, readout_weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.imitation_weight, self.readout_weight = imitation_weight, readout_weight
        self.add_frozen_teacher()

    def requires(self) -> tuple[str, ...]:
        """DMT repairs an RNN that SMT has trained."""
        return ("teacher", "rnn")

    def losses(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Imitation error at the labelled steps, and the readout's loss where these bear targets."""
        rollout = self.roll(batch, taught=True)
        assert rollout.memories is not None
        imitation = memory_error(rollout.states, rollout.memories).mean()
        self.count_gradient_steps(self.gradient_chain(rollout.window))
        return {
            "imitation": self.imitation_weight * imitation,
            "readout": self.readout_weight * self.readout_loss(batch, rollout, detach=True),
        }

    def sequential_flops(self, batch: SequenceBatch) -> int:
        """See `memtrain.metrics.flops`."""
        length = batch.inputs.shape[1]
        steps = self.sequential_steps(self.window(length))
        return self.scan_flops + dmt_flops(self.teacher, self.rnn, length, steps, self.unrolls_backward)
