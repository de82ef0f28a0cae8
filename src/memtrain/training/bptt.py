"""Stage `bptt`: back-propagation through time: the baseline, and the finetuning that can pass the teacher's ceiling."""

from typing import Any, ClassVar

from memtrain.training.rollouts import OnPolicy, RolloutModule
from memtrain.training.step import Outcome, Step

FRUITLESS_STEPS = 10
"""Steps in a row without a target at any label after which BPTT stops."""


class BPTTModule(RolloutModule):
    """Trains f and g on the loss along the unrolled sequence.

    From scratch it is the baseline; from `init_from` it finetunes what SMT and DMT have trained. It keeps a teacher,
    and measures drift against it, only where its rollouts read the teacher's memories.

    Args:
        kwargs: see RolloutModule, MemoryModule and StageModule.
    """

    stage: ClassVar[str] = "bptt"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.needs_teacher:
            self.teacher = self.frozen_teacher()
        self.fruitless: set[int] = set()

    def requires(self) -> tuple[str, ...]:
        """Reading the teacher's memories needs a teacher; finetuning needs an RNN; the baseline needs nothing."""
        if self.needs_teacher:
            return ("teacher", "rnn")
        return ("rnn",) if self.source else ()

    def losses(self, step: Step) -> Outcome:
        """The loss at the labeled steps that bear targets."""
        rolled = self.roll(step)
        self.require_targets(step, rolled)
        return self.outcome(step, {"readout": self.readout_loss(step, rolled, detach=False)}, rolled)

    def require_targets(self, step: Step, rolled: OnPolicy) -> None:
        """Refuse to go on where step after step no label bears a target, so that nothing is trained.

        Windows from the teacher's memories may miss a lone target many times, and train on it now and then.

        Raises:
            ValueError: after `FRUITLESS_STEPS` such steps, if rollouts start at the initial memory.
        """
        if self.windows.needs_teacher:
            return
        missed = bool(step.targets.any() & ~step.targets[rolled.timesteps].any())  # one wait for a GPU, not two
        self.fruitless = self.fruitless | {step.number} if missed else set()
        if len(self.fruitless) >= FRUITLESS_STEPS:
            window = self.windows.at(step.number, step.total, step.length)
            raise ValueError(
                f"model.windows.label_stride is {self.windows.label_stride} and model.windows.length {window}, but in "
                f"{FRUITLESS_STEPS} steps no labeled timestep has borne a target, so that nothing is trained; set "
                "model.windows.label_stride to 1, or model.windows.length to null."
            )
