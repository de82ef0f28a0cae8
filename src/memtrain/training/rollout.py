"""RolloutModule: what DMT and BPTT share: how, from where and how far the RNN is rolled out in a training step."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from memtrain.batch import IGNORE_INDEX, SequenceBatch
from memtrain.networks import RNN, Teacher
from memtrain.networks.cells import Cell, StructuredCell, TransformerCell
from memtrain.networks.cells.base import Update
from memtrain.networks.memory import normalize_memory
from memtrain.objectives import bearing_timesteps, cross_entropy, sample_starts, step_generator
from memtrain.options import require_at_least
from memtrain.training.base import MemoryModule
from memtrain.trajectory import Adjoint, Gradient, Method, NewtonOptions, Trajectory, roll_out, scans_adjoint
from memtrain.trajectory.recurrence import refuse_large_memory

WORST = ("residual", "error")
"""What newton says of its solutions of which the largest is logged, not the mean."""


@dataclass(frozen=True)
class Rollout:
    """On-policy memories of a step, at the labelled timesteps of all windows.

    Attributes:
        states: `m^_t`, `[B, L, K, D]`.
        timesteps: int64 `[L]`, the t of each.
        window: inputs of each window, W.
        memories: the teacher's `m_t` there, `[B, L, K, D]`, without gradient; None where they were not asked for.
    """

    states: Tensor
    timesteps: Tensor
    window: int
    memories: Tensor | None = None


class RolloutModule(MemoryModule):
    """Base of the stages that roll the RNN out.

    Args:
        trajectory: sequential (one step after the other), picard (sweeps over all timesteps at once, from the
            teacher's memories) or newton (all timesteps at once, exactly the rollout).
        gradient: through_time: back-propagated through the whole rollout; detached: never through more than one step.
        adjoint: how a sequential rollout is back-propagated through time, both exact: autograd (step after step), scan
            (one parallel scan of Jacobians), auto: scan where it measures faster, for cells with a diagonal Jacobian.
        start: initial: the rollout starts at `m_init`; teacher: windows start at the teacher's memories at random
            timesteps (and one at `m_init`), all windows in one batch.
        starts: windows of a sequence, for `start: teacher`.
        rollout_length: inputs of a rollout, W; null: the whole sequence. A list makes it grow over the stage, each
            entry for an equal share of the steps, for example [16, 32, 64, 128].
        label_stride: the loss is taken at every s-th step of a rollout.
        sweeps: picard's number of sweeps.
        newton: how newton solves; null: the defaults of NewtonOptions.
        teacher_forcing: newton's alpha over the stage, which goes linearly through these values; [1.0, 0.0] leads from
            SMT's one-step training to the RNN's own rollout. null: `newton.alpha` throughout.
        compile: run a Transformer cell's updates through torch.compile (needs a C++ compiler on a CPU; takes half a
            minute before the first step, so it pays in stages of many steps only).
        kwargs: see MemoryModule.
    """

    rnn: RNN
    truncation: int | None = None
    """The gradient path is cut every so many steps; None: never."""

    def __init__(
        self,
        trajectory: Method = "sequential",
        gradient: Gradient = "through_time",
        start: Literal["initial", "teacher"] = "initial",
        starts: int = 4,
        rollout_length: int | list[int] | None = None,
        label_stride: int = 1,
        sweeps: int = 4,
        adjoint: Adjoint = "auto",
        newton: NewtonOptions | None = None,
        teacher_forcing: list[float] | None = None,
        compile: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if rollout_length == []:
            raise ValueError(
                "model.rollout_length is empty, but needs at least one value; set it to null for whole rollouts."
            )
        lengths: list[int | None] = [*rollout_length] if isinstance(rollout_length, list) else [rollout_length]
        for name, value, least in (
            *(("rollout_length", length, 1) for length in lengths if length is not None),
            ("starts", starts, 1),
            ("label_stride", label_stride, 1),
            ("sweeps", sweeps, 0),
        ):
            require_at_least(f"model.{name}", value, least)
        if label_stride > min((length for length in lengths if length is not None), default=label_stride):
            raise ValueError(
                f"model.label_stride is {label_stride}, but must not be larger than the shortest rollout_length, or no "
                "step of it has a label."
            )
        if trajectory == "picard" and start == "teacher":
            raise ValueError(
                "start is teacher, but picard sweeps all timesteps at once from the teacher's memories; set start to "
                "initial and rollout_length to null, or trajectory to sequential."
            )
        if trajectory == "picard" and gradient == "through_time" and sweeps < 1:
            raise ValueError("sweeps is 0, but gradient through_time needs at least 1; set gradient to detached.")
        if teacher_forcing is not None and trajectory != "newton":
            raise ValueError(
                f"teacher_forcing is {teacher_forcing}, but trajectory is {trajectory}; set trajectory to newton, or "
                "teacher_forcing to null."
            )
        if teacher_forcing is not None and not teacher_forcing:
            raise ValueError("teacher_forcing is empty, but needs at least one value; set it to null for newton.alpha.")
        if (compile or adjoint == "scan") and not (trajectory == "sequential" and gradient == "through_time"):
            option, remedy = ("compile is true", "false") if compile else ("adjoint is scan", "auto")
            raise ValueError(
                f"{option}, but trajectory is {trajectory} and gradient {gradient}, and only sequential rollouts "
                f"through time have a use for it; set it to {remedy}."
            )
        self.newton = newton or NewtonOptions()
        self.hparams["newton"] = asdict(self.newton)
        self.forcing = [self.newton.alpha] if teacher_forcing is None else teacher_forcing
        for alpha in self.forcing:
            replace(self.newton, alpha=alpha)  # refuses what is no share
        self.trajectory, self.gradient, self.start = trajectory, gradient, start
        self.adjoint = adjoint
        self.starts, self.rollout_lengths, self.label_stride, self.sweeps = (
            starts,
            lengths,
            label_stride,
            sweeps,
        )
        self.rnn = RNN(self.network, self.vocabulary_size)
        if compile:
            if not isinstance(self.rnn.cell, TransformerCell):
                raise ValueError(
                    f"compile is true, but network.cell is {type(self.rnn.cell).__name__}, and only a TransformerCell "
                    "has updates to compile; set compile to false."
                )
            self.rnn.cell.compiled = True
        self.newton_steps = self.scan_flops = 0
        self.solved: list[dict[str, Tensor]] = []
        if trajectory == "newton" or self.scans_adjoint:
            full = trajectory == "newton" and self.newton.jacobian == "full"
            if full or not isinstance(self.rnn.cell, StructuredCell):
                refuse_large_memory(self.rnn.cell)
            refuse_randomness(self.rnn.cell)

    @property
    def needs_teacher(self) -> bool:
        """Whether a step reads the teacher's memories."""
        return self.start == "teacher" or self.needs_guess

    @property
    def needs_guess(self) -> bool:
        """Whether a rollout reads the teacher's memories along itself."""
        forced = self.newton.guess == "teacher" or any(self.forcing)
        return self.trajectory == "picard" or (self.trajectory == "newton" and forced)

    @property
    def scans_adjoint(self) -> bool:
        """Whether a sequential rollout is back-propagated by a parallel scan; never where its gradient is truncated."""
        whole = self.trajectory == "sequential" and self.gradient == "through_time" and self.truncation is None
        return whole and scans_adjoint(self.rnn.cell, self.adjoint)

    @property
    def unrolls_backward(self) -> bool:
        """Whether a backward pass goes through the cell's steps one after the other."""
        return self.gradient == "through_time" and self.trajectory != "newton" and not self.scans_adjoint

    def add_frozen_teacher(self) -> None:
        """Give the module a teacher that is never trained (frozen before DDP wraps the module)."""
        self.teacher = Teacher(self.network, self.vocabulary_size).requires_grad_(False)

    def window(self, length: int) -> int:
        """Inputs of this step's rollouts: the entry of `rollout_length` for the share of the stage that is done."""
        entry = entry_at(self.rollout_lengths, self.global_step, self.trainer.max_steps)
        return length if entry is None else min(entry, length)

    def roll(self, batch: SequenceBatch, taught: bool = False) -> Rollout:
        """The step's rollouts, with the gradient that was asked for.

        Args:
            batch: `[B, T]` inputs and targets.
            taught: the teacher's memories at the labelled timesteps are wanted too.
        """
        inputs = batch.inputs
        size, length = inputs.shape
        window = self.window(length)
        if self.label_stride > window:
            raise ValueError(
                f"model.label_stride is {self.label_stride}, but the data's sequences have {length} timesteps, so that "
                f"no step of a rollout of {window} has a label; choose at most {window}."
            )
        starts = torch.tensor([-1])
        if self.start == "teacher":
            generator = step_generator(self.seed, self.global_step, "starts")
            starts = sample_starts(length, window, self.starts, generator)
        starts = starts.to(inputs.device)
        times = starts[:, None] + 1 + torch.arange(window, device=inputs.device)  # [S, W]
        labels = torch.arange(self.label_stride - 1, window, self.label_stride, device=inputs.device)
        tries_guess = self.trajectory == "newton" and self.newton.guess == "best" and self.teacher is not None
        before, guess, memories = self.teacher_memories(
            inputs,
            starts[1:],
            times if self.needs_guess or tries_guess else None,
            times[:, labels].flatten() if taught else None,
        )
        memory = self.rnn.initial_memory(size).unsqueeze(1)
        if before is not None:
            memory = torch.cat([memory, before], dim=1)
        rolled = roll_out(
            self.rnn.cell,
            memory.flatten(0, 1),
            self.rnn.embed(inputs[:, times]).flatten(0, 1),
            labels,
            method=self.trajectory,
            gradient=self.gradient,
            guess=None if guess is None else guess.flatten(0, 1),
            sweeps=self.sweeps,
            truncation=self.truncation,
            options=replace(self.newton, alpha=self.alpha()),
            adjoint=self.adjoint,
        )
        self._note(rolled)
        states = rolled.states.unflatten(0, (size, len(starts))).flatten(1, 2)  # [B, S * L, K, D]
        return Rollout(states, times[:, labels].flatten(), window, memories)

    def alpha(self) -> float:
        """Teacher forcing of this step: `teacher_forcing`, from its first value to its last over the stage."""
        if len(self.forcing) == 1:
            return self.forcing[0]
        done = self.global_step / max(1, self.trainer.max_steps - 1) * (len(self.forcing) - 1)
        entry = min(int(done), len(self.forcing) - 2)
        low, high = self.forcing[entry : entry + 2]
        return low + (high - low) * min(done - entry, 1.0)

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> Tensor:
        """The sum of the stage's losses; logs what newton says of its solutions, those of all micro-batches."""
        self.newton_steps, self.scan_flops, self.solved = 0, 0, []
        loss = super().training_step(batch, batch_idx)
        if self.solved:
            found = {name: torch.stack([solved[name] for solved in self.solved]) for name in self.solved[0]}
            worst = torch.stack([found.pop(name).max() for name in WORST])
            means = self.mean_over_ranks(torch.stack([values.mean() for values in found.values()]))
            logged = dict(zip((*found, *WORST), (*means, *self.largest_of_ranks(worst)), strict=True))
            self.log_dict(
                {f"train/newton_{name}": value for name, value in logged.items()}, batch_size=len(batch.index)
            )
            costs = torch.tensor([self.newton_steps, self.scan_flops], device=worst.device)
            self.newton_steps, self.scan_flops = self.largest_of_ranks(costs).tolist()
            self.step_flops = self.sequential_flops(batch)  # all ranks wait for the one with the longest chain
        return loss

    def _note(self, rolled: Trajectory) -> None:
        """Keep what a solver says of its solution, for the log and the counters."""
        self.scan_flops = max(self.scan_flops, rolled.scan_flops)
        if rolled.iterations is None or rolled.fallback is None or rolled.residual is None or rolled.error is None:
            return
        self.newton_steps = max(self.newton_steps, rolled.sequential_steps)
        found = {
            "iterations": rolled.iterations.float().mean(),
            "residual": rolled.residual.max(),
            "error": rolled.error.detach().max(),
            "fallback": (rolled.fallback > 0).float().mean(),
        }
        if rolled.exponent is not None:
            found["exponent"] = rolled.exponent.mean()
        self.solved.append(found)

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
        count = self.count_targets(batch)[rollout.timesteps].sum()
        return self.masked_mean(cross_entropy(logits, targets), targets != IGNORE_INDEX, count)

    def teacher_memories(self, inputs: Tensor, *timesteps: Tensor | None) -> list[Tensor | None]:
        """The frozen teacher's memories at several sets of timesteps, encoded together, without gradient.

        Args:
            inputs: int64 `[B, T]`.
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

    def sequential_steps(self, window: int) -> int:
        """Cell evaluations of a rollout that follow one another; newton's are those of the latest training step."""
        if self.trajectory == "newton":
            return self.newton_steps
        return min(window, self.sweeps) if self.trajectory == "picard" else window

    def gradient_chain(self, window: int) -> int:
        """The longest gradient chain of f in a step with this window."""
        if self.gradient == "detached":
            return 1
        steps = window if self.trajectory == "newton" else self.sequential_steps(window)
        return min(steps, self.truncation or steps)


def refuse_randomness(cell: Cell) -> None:
    """Refuse a cell with dropout where several evaluations of it must be of one function.

    Raises:
        ValueError: if two steps from the same memory, in training mode, differ.
    """
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        memory = normalize_memory(torch.randn(8, cell.memory_tokens, cell.width), cell.memory_normalization)
        inputs = torch.randn(8, cell.width)
        update: Update = cell.step
        if isinstance(cell, StructuredCell):  # all evaluations share one projection of the inputs
            inputs, update = cell.project(inputs), cell.update
        if torch.equal(update(memory, inputs), update(memory, inputs)):
            return
    raise ValueError(
        f"network.cell is {type(cell).__name__}, whose step draws random numbers, as dropout does, but trajectory "
        "newton, and a scan in place of backward steps, evaluate it several times for one result; set its dropout to "
        "0, or trajectory to sequential and adjoint to autograd."
    )


def entry_at(lengths: list[int | None], step: int, total_steps: int) -> int | None:
    """The entry that is due at `step`, when each has an equal share of `total_steps`."""
    return lengths[min(step * len(lengths) // max(1, total_steps), len(lengths) - 1)]
