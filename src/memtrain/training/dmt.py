"""Stage `dmt`, DAgger Memory Training: the RNN, on its own memories, learns to stay with the teacher's."""

from typing import Any, ClassVar

from memtrain.networks import Teacher
from memtrain.objectives import memory_error
from memtrain.training.rollouts import RolloutModule
from memtrain.training.step import Outcome, Step
from memtrain.trajectory import Windows

DEFAULT_WINDOWS = Windows(starts=4, length=[4, 8, 16, 32])
"""Whole rollouts through time would be BPTT on dense targets."""


class DMTModule(RolloutModule):
    """Trains f and g, teacher frozen, on `MSE(m^_t, m_t)` along f's own rollout and on the loss of `g(m^_t)`.

    The readout's loss does not reach f: the memories it reads are detached (Kumar & Isola, arXiv 2606.06479).
    With `windows: {starts: 1}` and a trajectory through time it is BPTT on dense targets.

    Args:
        imitation_weight: weight of the imitation error.
        readout_weight: weight of the readout's loss.
        windows: see RolloutModule; null: four windows a sequence, which grow from 4 to 32 inputs.
        kwargs: see RolloutModule, MemoryModule and StageModule.
    """

    stage: ClassVar[str] = "dmt"

    def __init__(
        self,
        imitation_weight: float = 10.0,
        readout_weight: float = 1.0,
        windows: Windows | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(windows=windows or DEFAULT_WINDOWS, **kwargs)
        self.imitation_weight, self.readout_weight = imitation_weight, readout_weight
        self.teacher: Teacher = self.frozen_teacher()

    def requires(self) -> tuple[str, ...]:
        """DMT repairs an RNN that SMT has trained."""
        return ("teacher", "rnn")

    def losses(self, step: Step) -> Outcome:
        """Imitation error at the labeled steps, and the readout's loss where these bear targets."""
        rolled = self.roll(step, taught=True)
        assert rolled.memories is not None
        imitation = memory_error(rolled.states, rolled.memories).mean()
        terms = {
            "imitation": self.imitation_weight * imitation,
            "readout": self.readout_weight * self.readout_loss(step, rolled, detach=True),
        }
        return self.outcome(step, terms, rolled)
