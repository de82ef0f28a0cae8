"""Stage `smt`, Supervised Memory Training: the RNN learns one-step transitions between the teacher's memories."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from memtrain.limits import require_at_least
from memtrain.metrics.flops import smt_flops
from memtrain.networks import RNN
from memtrain.objectives import memory_error, memory_variance
from memtrain.training.step import Outcome, Step
from memtrain.training.teacher import TeacherModule


class SMTModule(TeacherModule):
    """Trains E, D and f jointly on `L_dec + L_dyn + L_init + L_unif`, or f alone on a frozen teacher.

    The RNN is never unrolled: any two tokens are one step of f apart (Kumar & Isola, arXiv 2606.06479). Its readout
    *is* the teacher's decoder during this stage.

    Args:
        dynamics_weight: weight of `L_dyn = MSE(f(m_t, x_{t+1}), m_{t+1})` and of `L_init = MSE(f(m_init, x_0), m_0)`.
        detach: which memories the dynamics losses do not train: none; target (`m_{t+1}`); both (`m_t` too). Joint
            training (none) makes the memory Markovian.
        relative_dynamics: divide the dynamics losses by the memories' variance over samples and timesteps, gradient
            through both: then a small loss cannot come from memories that shrink. Per micro-batch.
        memory_noise: standard deviation of noise on the memories that f starts from in `L_dyn`, which are normalized
            again; 0: none. f learns to return to the teacher's memories. Use with `relative_dynamics`.
        freeze_teacher: train f alone, on the teacher that `init_from` brings.
        kwargs: see TeacherModule and MemoryModule.
    """

    stage: ClassVar[str] = "smt"

    def __init__(
        self,
        dynamics_weight: float = 0.1,
        detach: Literal["none", "target", "both"] = "none",
        relative_dynamics: bool = False,
        memory_noise: float = 0.0,
        freeze_teacher: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_at_least("model.memory_noise", memory_noise, 0, example="0.3, or 0 for none")
        self.dynamics_weight, self.detach, self.freeze_teacher = dynamics_weight, detach, freeze_teacher
        self.relative_dynamics, self.memory_noise = relative_dynamics, memory_noise
        self.rnn: RNN = RNN(self.network, self.interface)
        self.rnn.readout = self.teacher.decoder
        if freeze_teacher:
            self.teacher.requires_grad_(False)

    def requires(self) -> tuple[str, ...]:
        """A frozen teacher must come from somewhere, and what it starts from must have one."""
        return ("teacher",) if self.freeze_teacher or self.source else ()

    def losses(self, step: Step) -> Outcome:
        """All terms, from one encoder call for the memories `m_0`, `m_t` and `m_{t+1}`."""
        timesteps = self.draw_timesteps(step)
        before = timesteps[timesteps < step.length - 1]  # t = T-1 has no next memory
        wanted = torch.cat([timesteps.new_zeros(1), timesteps, before + 1]).unique()
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze_teacher):
            memories = self.teacher.encode(step.batch.inputs, wanted)

        def at(these: Tensor) -> Tensor:
            return memories[:, torch.searchsorted(wanted, these)]

        terms = {} if self.freeze_teacher else self.memory_losses(step, timesteps, at(timesteps))
        terms |= self.dynamics_losses(step, before, at(before), at(before + 1), memories[:, 0])
        flops = smt_flops(self.teacher, self.rnn, step.length, self.future_length, self.freeze_teacher)
        return Outcome(terms, flops, gradient_chain=1)

    def dynamics_losses(
        self, step: Step, before: Tensor, memories: Tensor, after: Tensor, first: Tensor
    ) -> dict[str, Tensor]:
        """`L_dyn` and `L_init`, weighted, in one batched call of the cell.

        Args:
            step: `[B, T]` inputs.
            before: int64 `[M]`, the timesteps t of the transitions.
            memories: `m_t`, `[B, M, K, D]`.
            after: `m_{t+1}`, `[B, M, K, D]`.
            first: `m_0`, `[B, K, D]`.
        """
        targets = torch.cat([first.unsqueeze(1), after], dim=1)
        if self.detach != "none":
            targets = targets.detach()
        if self.detach == "both":
            memories = memories.detach()
        initial = self.rnn.initial_memory(len(memories)).unsqueeze(1)
        if self.memory_noise:
            memories = self.rnn.cell.memory.normalize(memories + self.memory_noise * torch.randn_like(memories))
        arriving = step.batch.inputs[:, torch.cat([before.new_zeros(1), before + 1])]
        predicted = self.rnn.step(torch.cat([initial, memories], dim=1), self.rnn.embed(arriving))
        errors = memory_error(predicted, targets)
        if self.relative_dynamics:
            errors = errors / memory_variance(targets)
        dynamics = errors[:, 1:].mean() if len(before) else errors.new_zeros(())
        return {
            "dynamics": self.dynamics_weight * dynamics,
            "initial": self.dynamics_weight * errors[:, 0].mean(),
        }
