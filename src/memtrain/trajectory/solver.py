"""Solver: what every way of finding a memory trajectory has in common."""

import inspect
from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.trajectory.checks import require_one_function
from memtrain.trajectory.recurrence import Recurrence
from memtrain.trajectory.solution import Trajectory


class Solver(ABC):
    """How the memory trajectory of a cell is found and how it is differentiated.

    A subclass defines `solve`. It takes options that YAML can hold, and keeps each in an attribute of its name.
    """

    @property
    def needs_guess(self) -> bool:
        """Whether `solve` cannot do without the teacher's memories."""
        return False

    @property
    def takes_guess(self) -> bool:
        """Whether `solve` uses the teacher's memories where they are at hand."""
        return self.needs_guess

    def at(self, step: int, total_steps: int) -> "Solver":
        """The solver of one optimizer step, for options that change over the stage.

        Args:
            step: steps done before this one.
            total_steps: optimizer steps of the stage.
        """
        return self

    def check(self, cell: Cell) -> None:
        """Refuse, before training, a cell that this solver cannot take.

        Raises:
            ValueError: naming option or cell, and a remedy.
        """
        require_one_function(cell)

    def check_detached(self, cell: Cell) -> None:
        """As `check`, for a solver inside `Detached`, which takes its states alone and no gradient."""
        self.check(cell)

    @abstractmethod
    def solve(
        self, cell: Cell, memory: Tensor, inputs: Tensor, labels: Tensor, guess: Tensor | None = None
    ) -> Trajectory:
        """Memories at the labeled steps of a rollout, with their gradient.

        Args:
            cell: the update f.
            memory: the memory to start from, `[B, K, D]`.
            inputs: embedded inputs, `[B, T, D]`.
            labels: int64 `[L]` in `0..T-1`, the steps whose memories are wanted.
            guess: the teacher's memories `m_t`, `[B, T, K, D]`.

        Returns:
            The trajectory, with states `[B, L, K, D]` and converged `[B, L]` of the labeled steps alone.

        Raises:
            ValueError: without a guess where `needs_guess` says so.
        """

    def recurrence(self, cell: Cell, inputs: Tensor, guess: Tensor | None) -> Recurrence:
        """The map `h_t = f_t(h_{t-1})` that the trajectory solves; see `solve` for the arguments."""
        return Recurrence.of(cell, inputs)

    def to_primitive(self) -> dict[str, Any]:
        """This solver as `class_path` and `init_args`, as YAML and checkpoints hold it."""
        kind = type(self)
        options = {name: getattr(self, name) for name in inspect.signature(kind).parameters}
        return {
            "class_path": f"{kind.__module__}.{kind.__qualname__}",
            "init_args": {
                name: value.to_primitive() if isinstance(value, Solver) else value for name, value in options.items()
            },
        }
