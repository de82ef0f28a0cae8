"""RolloutModule: the on-policy memories of a step, which DMT and BPTT train on."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from memtrain.metrics.flops import rollout_flops
from memtrain.networks import RNN, Teacher
from memtrain.objectives import bearing_timesteps
from memtrain.training.memory import MemoryModule
from memtrain.training.step import Outcome, Step
from memtrain.trajectory import Sequential, Solver, Trajectory, Windows


@dataclass(frozen=True)
class OnPolicy:
    """The RNN's own memories of a step, at the labeled timesteps of all windows.

    Attributes:
        states: `m^_t`, `[B, L, K, D]`.
        timesteps: int64 `[L]`, the t of each.
        memories: the teacher's `m_t` there, `[B, L, K, D]`, without gradient; None where they were not asked for.
        trajectory: what the solver says of its solution.
    """

    states: Tensor
    timesteps: Tensor
    memories: Tensor | None
    trajectory: Trajectory


class RolloutModule(MemoryModule):
    """Base of the stages that roll the RNN out.

    Args:
        trajectory: how a rollout is found and differentiated: a class of `memtrain.trajectory`: Sequential (one step
            after the other), Picard (sweeps over all timesteps at once, from the teacher's memories), Newton (all
            timesteps at once, exactly), or Detached around one of them (gradients through a single step).
        windows: where rollouts start, how long they are and which of their steps are labeled.
        kwargs: see MemoryModule and StageModule.
    """

    def __init__(self, trajectory: Solver | None = None, windows: Windows | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trajectory, self.windows = trajectory or Sequential(), windows or Windows()
        self.hparams["trajectory"] = self.trajectory.to_primitive()
        self.hparams["windows"] = self.windows.to_primitive()
        self.rnn: RNN = RNN(self.network, self.interface)
        self.trajectory.check(self.rnn.cell)

    @property
    def needs_teacher(self) -> bool:
        """Whether a rollout reads the teacher's memories."""
        return self.windows.needs_teacher or self.trajectory.needs_guess

    def frozen_teacher(self) -> Teacher:
        """A teacher that is never trained; it is frozen before DDP wraps the module."""
        return Teacher(self.network, self.interface).requires_grad_(False)

    def roll(self, step: Step, taught: bool = False) -> OnPolicy:
        """The step's rollouts, with the gradient that the solver gives.

        Args:
            step: `[B, T]` inputs and targets.
            taught: the teacher's memories at the labeled timesteps are wanted too.
        """
        inputs, solver = step.batch.inputs, self.trajectory.at(step.number, step.total)
        window = self.windows.at(step.number, step.total, step.length)
        starts = self.windows.draw(window, step.targets > 0, step.generator("starts")).to(inputs.device)
        times = starts[:, None] + 1 + torch.arange(window, device=inputs.device)  # [S, W]
        labels = self.windows.labels(window).to(inputs.device)
        timesteps = times[:, labels].flatten()
        guessed = self.trajectory.takes_guess and self.teacher is not None
        before, guess, memories = self.teacher_memories(
            inputs, starts[1:], times if guessed else None, timesteps if taught else None
        )
        memory = self.rnn.initial_memory(len(inputs)).unsqueeze(1)
        if before is not None:
            memory = torch.cat([memory, before], dim=1)
        found = solver.solve(
            self.rnn.cell,
            memory.flatten(0, 1),
            self.rnn.embed(self.seen(inputs[:, times])).flatten(0, 1),
            labels,
            None if guess is None else guess.flatten(0, 1),
        )
        states = found.states.unflatten(0, (len(inputs), len(starts))).flatten(1, 2)  # [B, S * L, K, D]
        return OnPolicy(states, timesteps, memories, found)

    def seen(self, inputs: Tensor) -> Tensor:
        """What the RNN sees of the inputs of its rollouts, `[B, S, W, ...]`."""
        count = self.windows.observed
        if count is None or count >= inputs.shape[2]:
            return inputs
        return torch.cat([inputs[:, :, :count], self.interface.inputs.unobserved(inputs[:, :, count:])], dim=2)

    def readout_loss(self, step: Step, rolled: OnPolicy, detach: bool) -> Tensor:
        """Loss of `g(m^_t)` against `y_t` at the labeled timesteps that bear targets.

        Args:
            step: `[B, T]` inputs and targets.
            rolled: its on-policy memories.
            detach: keep the gradient from f.
        """
        bearing = bearing_timesteps(step.batch.mask[:, rolled.timesteps])
        states, targets = rolled.states[:, bearing], step.batch.at(rolled.timesteps[bearing])
        parameters = self.rnn.read(states.detach() if detach else states, targets.ahead)
        errors = self.rnn.head.loss(parameters, targets.values, targets.mask)
        return step.masked_mean(errors, targets.mask, step.targets[rolled.timesteps].sum())

    def outcome(self, step: Step, terms: dict[str, Tensor], rolled: OnPolicy) -> Outcome:
        """The outcome of a step with these terms."""
        found = rolled.trajectory
        flops = rollout_flops(self.teacher, self.rnn, step.length, found)
        return Outcome(terms, flops, found.gradient_chain, found.means(), found.worst())

    def teacher_memories(self, inputs: Tensor, *timesteps: Tensor | None) -> list[Tensor | None]:
        """The frozen teacher's memories at several sets of timesteps, encoded together, without gradient.

        Args:
            inputs: `[B, T, ...]`.
            timesteps: int64, each of any shape, or None.

        Returns:
            For each set, memories `[B, *shape, K, D]`; None for None and for an empty set.
        """
        sets = [times for times in timesteps if times is not None and times.numel()]
        if not sets:
            return [None] * len(timesteps)
        assert self.teacher is not None
        wanted, position = torch.cat([times.flatten() for times in sets]).unique(return_inverse=True)
        with torch.no_grad():
            memories = self.teacher.encode(inputs, wanted)
        found = iter(position.split([times.numel() for times in sets]))
        return [
            memories[:, next(found).view(times.shape)] if times is not None and times.numel() else None
            for times in timesteps
        ]
