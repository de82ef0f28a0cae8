"""Newton's method on a whole trajectory: DEER and ParaRNN, with a residual that is checked and a way out.

Sources: Lim et al., arXiv 2309.12252 (DEER); Gonzalez et al., arXiv 2407.19115 (quasi-DEER, ELK); Danieli et al.,
arXiv 2510.21450 (ParaRNN); arXiv 2605.12683 (teacher forcing).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from memtrain.limits import require_at_least, require_between
from memtrain.networks.cells import Cell
from memtrain.scan import Backend, scan_levels
from memtrain.trajectory.adjoint import attach_gradient
from memtrain.trajectory.checks import require_jacobian
from memtrain.trajectory.exponent import largest_exponent
from memtrain.trajectory.guess import GUESS_EVALUATIONS, Guess, first_guess, relative_size
from memtrain.trajectory.iteration import Iteration
from memtrain.trajectory.recurrence import Jacobian, Recurrence, propagate, propagation_flops
from memtrain.trajectory.solution import NewtonTrajectory
from memtrain.trajectory.solver import Solver


@dataclass(frozen=True)
class Newton(Solver):
    """All timesteps at once, exactly the rollout, with its exact gradients.

    The states solve `h_t = f(h_{t-1}, x_t)` within the tolerance. Samples on which Newton's method fails are solved in
    windows, one after the other, and if one of these fails step by step. One warning says so, and `fallback` of the
    trajectory names them. Needs a cell with a known Jacobian, or a memory of at most 64 numbers.

    Args:
        jacobian: auto: exact, in the cell's own structure (ParaGRU: diagonal, ParaLSTM: 2x2 blocks, others: dense, for
            memories of at most 64 numbers); full: exact and dense for any cell; diagonal: the diagonal alone, whose
            iterations are cheaper and more (quasi-DEER). Gradients are exact with each of them.
        guess: what the iteration starts from. zeros; input: `f(0, x_t)`; teacher: the teacher's memories; best:
            whichever of these has the lowest residual, sample by sample.
        tolerance: largest `|f(h_{t-1}) - h_t| / max(1, |h_t|)` of a solution: 1e-5 suits float32, 1e-12 float64.
        maximum_iterations: updates after which a sample has failed.
        patience: updates without a new lowest residual after which a sample has failed.
        window: steps of the windows in which failed samples are tried again; null: they are rolled out at once.
        teacher_forcing: share alpha of the teacher's memory m in what the cell is fed, `(1 - alpha) h + alpha m`, in
            [0, 1]. The Jacobian shrinks by `1 - alpha`, so that even chaotic cells are solved. 1: SMT's inputs; 0: the
            rollout. The stage goes linearly through the values of a list: [1.0, 0.0] leads from SMT to the rollout.
        scan: loop, chunked or blelloch: how the linear recurrences are solved (see `memtrain.scan`).
        exponent: also give the largest Lyapunov exponent, which takes T cheap sequential steps; stages log it.
    """

    jacobian: Jacobian = "auto"
    guess: Guess = "best"
    tolerance: float = 1e-5
    maximum_iterations: int = 30
    patience: int = 8
    window: int | None = 32
    teacher_forcing: float | list[float] = 0.0
    scan: Backend = "chunked"
    exponent: bool = False

    def __post_init__(self) -> None:
        """Refuse options that cannot be."""
        if not self.tolerance > 0:
            raise ValueError(f"Newton.tolerance is {self.tolerance}, but must be above 0; choose 1e-5 in float32.")
        if self.teacher_forcing == []:
            raise ValueError("Newton.teacher_forcing is empty, but needs at least one value; set it to 0.")
        for alpha in self._alphas:
            require_between("Newton.teacher_forcing", alpha, 0, 1, example="0, the cell's own rollout")
        for name, value, least in (
            ("maximum_iterations", self.maximum_iterations, 0),
            ("patience", self.patience, 1),
            ("window", 1 if self.window is None else self.window, 1),
        ):
            require_at_least(f"Newton.{name}", value, least)

    @property
    def _alphas(self) -> list[float]:
        return self.teacher_forcing if isinstance(self.teacher_forcing, list) else [self.teacher_forcing]

    @property
    def needs_guess(self) -> bool:
        """Newton starts from the teacher's memories, or mixes them in."""
        return self.guess == "teacher" or any(self._alphas)

    @property
    def takes_guess(self) -> bool:
        """The best guess may be the teacher's memories."""
        return self.needs_guess or self.guess == "best"

    @property
    def iteration(self) -> Iteration:
        """How the equations are solved, whatever they are."""
        return Iteration(self.jacobian, self.tolerance, self.maximum_iterations, self.patience, self.window, self.scan)

    def at(self, step: int, total_steps: int) -> "Newton":
        """See `Solver.at`; with the teacher forcing of this step, from its first value to its last over the stage."""
        alphas = self._alphas
        if len(alphas) == 1:
            return replace(self, teacher_forcing=alphas[0])
        done = step / max(1, total_steps - 1) * (len(alphas) - 1)
        entry = min(int(done), len(alphas) - 2)
        low, high = alphas[entry : entry + 2]
        return replace(self, teacher_forcing=low + (high - low) * min(done - entry, 1.0))

    def check(self, cell: Cell) -> None:
        """See `Solver.check`; Newton's method needs the cell's Jacobian."""
        super().check(cell)
        require_jacobian(cell, full=self.jacobian == "full")

    def solve(
        self, cell: Cell, memory: Tensor, inputs: Tensor, labels: Tensor, guess: Tensor | None = None
    ) -> NewtonTrajectory:
        """See `Solver.solve`; in the memory's own precision: autocast is off."""
        with torch.autocast(memory.device.type, enabled=False):
            teacher = None if guess is None else guess.to(memory.dtype)
            recurrence = self.recurrence(cell, inputs.to(memory.dtype), teacher)
            first = first_guess(recurrence, memory, self.guess, teacher)
            solved = self.iteration.solve(recurrence, first, memory)
            states, after, jacobian = attach_gradient(recurrence, solved.states, memory, scan=self.scan)
            defect = after - solved.states
            error = propagate(jacobian.abs(), defect.abs(), None, self.scan)
            # Without gradient this evaluation estimates the error, and no state waits for it.
            last = torch.is_grad_enabled()
            backward = propagation_flops(jacobian, states, self.scan) if last else 0
            return NewtonTrajectory.known(
                states[:, labels],
                GUESS_EVALUATIONS[self.guess] + solved.sequential_steps + last,
                backward_steps=1,
                gradient_chain=inputs.shape[1],
                scan_flops=solved.scan_flops + backward,
                scan_levels=solved.scan_levels + (scan_levels(inputs.shape[1]) if last else 0),
                iterations=solved.iterations,
                residual=relative_size(defect, solved.states),
                error=error.flatten(1).amax(1),
                fallback=solved.fallback,
                exponent=largest_exponent(jacobian) if self.exponent else None,
            )

    def recurrence(self, cell: Cell, inputs: Tensor, guess: Tensor | None) -> Recurrence:
        """See `Solver.recurrence`; with the teacher's memories mixed in."""
        if isinstance(self.teacher_forcing, list):
            raise ValueError(
                f"Newton.teacher_forcing is {self.teacher_forcing}, but a trajectory is solved with one value; call "
                "`at`, which gives the solver of one optimizer step."
            )
        return Recurrence.of(cell, inputs, guess, self.teacher_forcing)
