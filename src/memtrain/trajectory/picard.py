"""Picard sweeps: all timesteps at once, from a guess; sweep j holds exact j-step on-policy states."""

from dataclasses import dataclass

from torch import Tensor

from memtrain.limits import require_at_least
from memtrain.networks.cells import Cell
from memtrain.scan import preceding
from memtrain.trajectory.solution import Trajectory
from memtrain.trajectory.solver import Solver


@dataclass(frozen=True)
class Picard(Solver):
    """Sweeps `s^j_t = f(s^{j-1}_{t-1}, x_t)` over all t at once, from the teacher's memories; for any cell.

    `s^0` is the guess, `s^j_{-1}` the initial memory. So `s^j_t` is exactly the rollout that starts at the teacher's
    memory j steps back; after T sweeps it is the rollout from the initial memory.

    Args:
        sweeps: number of sweeps; more than T change nothing and are not run. 0, inside Detached alone, is one-step
            training on the teacher's memories.
    """

    sweeps: int = 4

    def __post_init__(self) -> None:
        """Refuse a negative number of sweeps."""
        require_at_least("Picard.sweeps", self.sweeps, 0, example=4)

    @property
    def needs_guess(self) -> bool:
        """Picard starts from the teacher's memories."""
        return True

    def check(self, cell: Cell) -> None:
        """See `Solver.check`; without a sweep the states carry no gradient."""
        super().check(cell)
        if self.sweeps == 0:
            raise ValueError(
                "Picard.sweeps is 0, but states that no sweep has made carry no gradient; choose at least 1, or put "
                "Picard inside Detached, which makes one step with gradient."
            )

    def check_detached(self, cell: Cell) -> None:
        """See `Solver.check_detached`; `Detached` makes the step with gradient."""
        super().check(cell)

    def solve(
        self, cell: Cell, memory: Tensor, inputs: Tensor, labels: Tensor, guess: Tensor | None = None
    ) -> Trajectory:
        """See `Solver.solve`; `converged` where t is below the number of sweeps."""
        if guess is None:
            raise ValueError("trajectory is Picard, but there is no guess; give the teacher's memories.")
        sweeps = min(self.sweeps, inputs.shape[1])
        recurrence, states = self.recurrence(cell, inputs, guess), guess
        for _ in range(sweeps):
            states = recurrence.step(preceding(memory.to(states.dtype), states))
        converged = (labels < sweeps).expand(len(guess), len(labels))
        return Trajectory(states[:, labels], converged, sweeps, sweeps, gradient_chain=sweeps)
