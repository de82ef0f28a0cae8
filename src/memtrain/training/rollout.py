"""RolloutModule: what DMT and BPTT share: how, from where and how far the RNN is rolled out in a training step."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from memtrain.batch import IGNORE_INDEX, SequenceBatch
from memtrain.networks import RNN, Teacher
from memtrain.objectives import bearing_timesteps, cross_entropy, sample_starts, step_generator
from memtrain.training.base import MemoryModule
from memtrain.trajectory import Gradient, Method, roll_out


@dataclass(frozen=True)
class Rollout:
    """On-policy memories of a step, at the labelled timesteps of all windows.

    Attributes:
        states: `m^_t`, `[B, L, K, D]`.
        timesteps: int64 `[L]`, the t of each.
        window: inputs of each window, W.
    """

    states: Tensor
    timesteps: Tensor
    window: int


class RolloutModule(MemoryModule):
    """Base of the stages that roll the RNN out.

    Args:
        trajectory: sequential (one step after the other) or picard (sweeps over all timesteps at once, from the
            teacher's memories).
        gradient: through_time: back-propagated through the whole rollout; detached: never through more than one step.
        start: initial: the rollout starts at `m_init`; teacher: windows start at the teacher's memories at random
            timesteps (and one at `m_init`), all windows in one batch.
        starts: windows of a sequence, for `start: teacher`.
        rollout_length: inputs of a rollout, W; null: the whole sequence. A list makes it grow over the stage, each
            entry for an equal share of the steps, for example [16, 32, 64, 128].
        label_stride: the loss is taken at every s-th step of a rollout.
        sweeps: picard's number of sweeps.
        kwargs: see MemoryModule.
    """

    rnn: RNN

    def __init__(
        self,
        trajectory: Method = "sequential",
        gradient: Gradient = "through_time",
        start: Literal["initial", "teacher"] = "initial",
        starts: int = 4,
        rollout_length: int | list[int] | None = None,
        label_stride: int = 1,
        sweeps: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        lengths: list[int | None] = [*rollout_length] if isinstance(rollout_length, list) else [rollout_length]
        for name, value, least in (
            *(("rollout_length", length, 1) for length in lengths if length is not None),
            ("starts", starts, 1),
            ("label_stride", label_stride, 1),
            ("sweeps", sweeps, 0),
        ):
            if value < least:
                raise ValueError(f"{name} is {value}, but must be at least {least}.")
        if label_stride > min((length for length in lengths if length is not None), default=label_stride):
            raise ValueError(
                f"label_stride is {label_stride}, but must not be larger than the shortest rollout_length, or no step "
                "of it has a label."
            )
        if trajectory == "picard" and start == "teacher":
            raise ValueError(
                "start is teacher, but picard sweeps all timesteps at once from the teacher's memories; set start to "
                "initial, or trajectory to sequential."
            )
        if trajectory == "picard" and gradient == "through_time" and sweeps < 1:
            raise ValueError("sweeps is 0, but gradient through_time needs at least 1; set gradient to detached.")
        self.trajectory, self.gradient, self.start = trajectory, gradient, start
        self.starts, self.rollout_lengths, self.label_stride, self.sweeps = (
            starts,
            lengths,
            label_stride,
            sweeps,
        )
        self.rnn = RNN(self.network, self.vocabulary_size)

    @property
    def needs_teacher(self) -> bool:
        """Whether a step reads the teacher's memories."""
        return self.start == "teacher" or self.trajectory == "picard"

    def add_frozen_teacher(self) -> None:
        """Give the module a teacher that is never trained (frozen before DDP wraps the module)."""
        self.teacher = Teacher(self.network, self.vocabulary_size).requires_grad_(False)

    def train(self, mode: bool = True) -> "RolloutModule":
        """The frozen teacher stays in evaluation mode."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def window(self, length: int) -> int:
        """Inputs of this step's rollouts: the entry of `rollout_length` for the share of the stage that is done."""
        entry = entry_at(self.rollout_lengths, self.global_step, self.trainer.max_steps)
        return length if entry is None else min(entry, length)

    def roll(self, batch: SequenceBatch, truncation: int | None = None) -> Rollout:
        """The step's rollouts, with the gradient that was asked for.

        Args:
            batch: `[B, T]` inputs and targets.
            truncation: cut the gradient path every so many steps; None: never.
        """
        inputs = batch.inputs
        size, length = inputs.shape
        window = self.window(length)
        starts = torch.tensor([-1])
        if self.start == "teacher":
            generator = step_generator(self.seed, self.global_step, "starts")
            starts = sample_starts(length, window, self.starts, generator)
        starts = starts.to(inputs.device)
        times = starts[:, None] + 1 + torch.arange(window, device=inputs.device)  # [S, W]
        labels = torch.arange(self.label_stride - 1, window, self.label_stride, device=inputs.device)
        memory = self.rnn.initial_memory(size).unsqueeze(1)
        guess = None
        if self.trajectory == "picard":
            guess = self.teacher_memories(inputs, times[0])
        elif len(starts) > 1:
            memory = torch.cat([memory, self.teacher_memories(inputs, starts[1:])], dim=1)
        states = roll_out(
            self.rnn.cell,
            memory.flatten(0, 1),
            self.rnn.embed(inputs[:, times]).flatten(0, 1),
            labels,
            self.trajectory,
            self.gradient,
            guess,
            self.sweeps,
            truncation,
        )
        states = states.unflatten(0, (size, len(starts))).flatten(1, 2)  # [B, S * L, K, D]
        return Rollout(states, times[:, labels].flatten(), window)

    def readout_loss(self, batch: SequenceBatch, rollout: Rollout, detach: bool) -> Tensor:
        """Cross-entropy of `g(m^_t)` against `y_t` at the labelled timesteps that bear targets.

        Args:
            batch: `[B, T]` inputs and targets.
            rollout: on-policy memories of that batch.
            detach: keep the gradient from f.
        """
        targets = batch.targets[:, rollout.timesteps]
        bearing = bearing_timesteps(targets)
        states = rollout.states[:, bearing]
        logits = self.rnn.read(states.detach() if detach else states)
        targets = targets[:, bearing]
        return self.masked_mean(cross_entropy(logits, targets), targets != IGNORE_INDEX)

    def teacher_memories(self, inputs: Tensor, timesteps: Tensor) -> Tensor:
        """The frozen teacher's memories at `timesteps` `[N]`, without gradient: `[B, N, K, D]`."""
        assert self.teacher is not None
        with torch.no_grad():
            return self.teacher.encode(inputs, timesteps)

    def sequential_steps(self, window: int) -> int:
        """Cell evaluations of a rollout that follow one another."""
        return min(window, self.sweeps) if self.trajectory == "picard" else window

    def gradient_chain(self, window: int, truncation: int | None = None) -> int:
        """The longest gradient chain of f in a step with this window."""
        if self.gradient == "detached":
            return 1
        steps = self.sequential_steps(window)
        return min(steps, truncation or steps)


def entry_at(lengths: list[int | None], step: int, total_steps: int) -> int | None:
    """The entry that is due at `step`, when each has an equal share of `total_steps`."""
    return lengths[min(step * len(lengths) // max(1, total_steps), len(lengths) - 1)]
