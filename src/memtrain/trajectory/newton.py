"""Newton's method on a whole trajectory: DEER and ParaRNN, with a residual that is checked and a way out.

Sources: Lim et al., arXiv 2309.12252 (DEER); Gonzalez et al., arXiv 2407.19115 (quasi-DEER, ELK); Danieli et al.,
arXiv 2510.21450 (ParaRNN); arXiv 2605.12683 (teacher forcing).
"""

import logging
import warnings
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.options import require_at_least, require_between
from memtrain.trajectory.adjoint import attach_gradient
from memtrain.trajectory.exponent import largest_exponent
from memtrain.trajectory.recurrence import Jacobian, Recurrence, propagate, propagation_flops
from memtrain.trajectory.scan import Backend, preceding
from memtrain.trajectory.solution import Fallback, Trajectory

log = logging.getLogger(__name__)

Guess = Literal["zeros", "input", "teacher", "best"]
GUESS_EVALUATIONS: dict[Guess, int] = {"zeros": 0, "input": 1, "teacher": 0, "best": 2}
"""Cell evaluations that follow one another before the iteration starts."""


@dataclass(frozen=True)
class NewtonOptions:
    """How `newton` solves a trajectory.

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
        alpha: teacher forcing: the cell is fed `(1 - alpha) h + alpha m` with the teacher's memories m, in [0, 1]; the
            Jacobian shrinks by `1 - alpha`, so that even chaotic cells are solved. 1: SMT's inputs; 0: the rollout.
        scan: loop, chunked or blelloch: how the linear recurrences are solved (see `memtrain.trajectory.scan`).
        exponent: also give the largest Lyapunov exponent, which takes T cheap sequential steps; stages log it.
    """

    jacobian: Jacobian = "auto"
    guess: Guess = "best"
    tolerance: float = 1e-5
    maximum_iterations: int = 30
    patience: int = 8
    window: int | None = 32
    alpha: float = 0.0
    scan: Backend = "chunked"
    exponent: bool = False

    def __post_init__(self) -> None:
        """Refuse options that cannot be."""
        if not self.tolerance > 0:
            raise ValueError(f"newton.tolerance is {self.tolerance}, but must be above 0; choose 1e-5 in float32.")
        require_between("newton.alpha", self.alpha, 0, 1, example="0, the cell's own rollout")
        for name, value, least in (
            ("maximum_iterations", self.maximum_iterations, 0),
            ("patience", self.patience, 1),
            ("window", 1 if self.window is None else self.window, 1),
        ):
            require_at_least(f"newton.{name}", value, least)


@dataclass(frozen=True)
class Attempt:
    """Where Newton's iteration has ended, whether or not that is a solution.

    Attributes:
        states: `[B, T, K, D]`.
        residual: `[B]`, that of these states, NaN or infinite where it diverged.
        converged: bool `[B]`, the residual is within the tolerance.
        iterations: int64 `[B]`, updates made.
        scan_flops: sequential FLOPs of their linear recurrences, per sample.
    """

    states: Tensor
    residual: Tensor
    converged: Tensor
    iterations: Tensor
    scan_flops: int


@torch.no_grad()
def iterate(recurrence: Recurrence, guess: Tensor, memory: Tensor, options: NewtonOptions) -> Attempt:
    """Newton's iteration `h += delta`, `delta_t = J_t delta_{t-1} + f_t(h_{t-1}) - h_t`, until it succeeds or fails.

    After k updates the first k states are exact. Each sample stops by itself: when it has converged, has become
    infinite or NaN, has set no new lowest residual for `patience` updates, or is out of iterations. Iterates of cells
    whose memories are bounded are kept within these bounds.

    Args:
        recurrence: f_t.
        guess: `h_t` to start from, `[B, T, K, D]`.
        memory: `h_{-1}`, `[B, K, D]`.
        options: see NewtonOptions.
    """
    states, active = guess.clone(), torch.arange(len(guess), device=guess.device)
    residual, lowest = states.new_full((2, len(guess)), torch.inf)
    iterations, stale = torch.zeros(2, len(guess), dtype=torch.int64, device=guess.device)
    scans = 0
    for iteration in range(options.maximum_iterations + 1):
        now, part = states[active], recurrence.take(active)
        after, jacobian = part.linearize(preceding(memory[active], now), options.jacobian)
        defect = after - now
        size = relative_size(defect, now)
        residual[active], iterations[active] = size, iteration
        stale[active] = (stale[active] + 1).masked_fill(size < lowest[active], 0)
        lowest[active] = torch.minimum(size, lowest[active])
        going = (size > options.tolerance) & size.isfinite() & (stale[active] < options.patience)
        if iteration == options.maximum_iterations or not going.any():
            break
        updated = part.clip(now + propagate(jacobian, defect, None, options.scan), memory[active])
        scans += propagation_flops(jacobian, now, options.scan)
        active = active[going]
        states[active] = updated[going]
    return Attempt(states, residual, residual <= options.tolerance, iterations, scans)


def newton(
    cell: Cell,
    memory: Tensor,
    embeddings: Tensor,
    options: NewtonOptions | None = None,
    teacher: Tensor | None = None,
) -> Trajectory:
    """Solve all timesteps of a rollout at once, exactly, with exact gradients.

    The states solve `h_t = f(h_{t-1}, x_t)` within the tolerance. Samples for which Newton's method fails are solved in
    windows, one after the other, and if one of these fails step by step; one warning says so, and `fallback` which. It
    computes in the memory's own precision: autocast is off.

    Args:
        cell: the update f.
        memory: the memory to start from, `[B, K, D]`.
        embeddings: embedded inputs, `[B, T, D]`.
        options: see NewtonOptions; None: its defaults.
        teacher: the teacher's memories `m_t`, `[B, T, K, D]`, for a guess of teacher or best and for alpha.

    Returns:
        The trajectory, with everything that is known about it.

    Raises:
        ValueError: without the teacher's memories where they are needed; for a cell without Jacobian.
    """
    options = options or NewtonOptions()
    teacher = None if teacher is None else teacher.to(memory.dtype)
    with torch.autocast(memory.device.type, enabled=False):
        recurrence = Recurrence.of(cell, embeddings.to(memory.dtype), teacher, options.alpha)
        with torch.no_grad():
            guess = first_guess(recurrence, memory, options.guess, teacher)
            solved = _solve(recurrence, guess, memory, options)
        states, after, jacobian = attach_gradient(recurrence, solved.states, memory, scan=options.scan)
        defect = after - solved.states
        error = propagate(jacobian.abs(), defect.abs(), None, options.scan)
        backward = propagation_flops(jacobian, states, options.scan) if torch.is_grad_enabled() else 0
        return Trajectory.known(
            states,
            GUESS_EVALUATIONS[options.guess] + solved.sequential_steps,
            scan_flops=solved.scan_flops + backward,
            iterations=solved.iterations,
            residual=relative_size(defect, solved.states),
            error=error.flatten(1).amax(1),
            fallback=solved.fallback,
            exponent=largest_exponent(jacobian) if options.exponent else None,
        )


def first_guess(recurrence: Recurrence, memory: Tensor, guess: Guess, teacher: Tensor | None) -> Tensor:
    """What the iteration starts from, `[B, T, K, D]`.

    Raises:
        ValueError: for a guess of teacher without the teacher's memories.
    """
    if guess == "teacher":
        if teacher is None:
            raise ValueError("newton.guess is teacher, but there are no teacher memories; set it to best.")
        return teacher
    zeros = memory.new_zeros(*recurrence.inputs.shape[:2], *memory.shape[1:])
    if guess == "zeros":
        return zeros
    images = recurrence.step(preceding(memory, zeros))
    if guess == "input":
        return images
    candidates = [zeros, images] if teacher is None else [zeros, images, teacher]
    sizes = [relative_size(recurrence.step(preceding(memory, states)) - states, states) for states in candidates]
    best = torch.stack(sizes).nan_to_num(nan=torch.inf).argmin(0)
    return torch.stack(candidates)[best, torch.arange(len(memory), device=memory.device)]


def relative_size(defect: Tensor, states: Tensor) -> Tensor:
    """The largest `|r| / max(1, |h|)` of each sample: `[B, T, K, D]` twice to `[B]`; NaN where any number is NaN."""
    return (defect.abs() / states.abs().clamp(min=1)).flatten(1).amax(1)


class _Solved(NamedTuple):
    """States all of which are the rollout's within the tolerance, and what they took; see Trajectory."""

    states: Tensor
    sequential_steps: int
    scan_flops: int
    iterations: Tensor
    fallback: Tensor


def _solve(recurrence: Recurrence, guess: Tensor, memory: Tensor, options: NewtonOptions) -> _Solved:
    """All samples at once; then those that have failed by another way."""
    attempt = iterate(recurrence, guess, memory, options)
    states, iterations, scans = attempt.states, attempt.iterations, attempt.scan_flops
    steps = int(iterations.max()) + 1
    fallback = torch.full_like(iterations, Fallback.NONE)
    failed = (~attempt.converged).nonzero().flatten()
    if len(failed):
        rescued = _rescue(recurrence.take(failed), guess[failed], memory[failed], options)
        states[failed], fallback[failed] = rescued.states, rescued.fallback
        iterations[failed] += rescued.iterations
        steps += rescued.sequential_steps
        scans += rescued.scan_flops
        log.info("newton: %d of %d samples failed, residual %.1e", len(failed), len(guess), attempt.residual.max())
        warnings.warn(
            "trajectory is newton, but some samples did not converge and were solved in windows (within the tolerance, "
            "which says little of a chaotic cell: see the logged error) or step by step, which is slow; see the logged "
            "fallback, and raise alpha, or set trajectory to sequential.",
            stacklevel=3,
        )
    return _Solved(states, steps, scans, iterations, fallback)


def _rescue(recurrence: Recurrence, guess: Tensor, memory: Tensor, options: NewtonOptions) -> _Solved:
    """Windows, one after the other; a sample one of whose windows fails is rolled out step by step, from its start.

    From its start, for solved windows are as exact as the tolerance says, and where windows fail errors grow.
    """
    count, length = guess.shape[:2]
    start = memory
    samples, states = torch.arange(count, device=guess.device), guess.clone()
    iterations, steps, scans = torch.zeros_like(samples), 0, 0
    if options.window is None or options.window >= length:
        return _Solved(recurrence.rollout(memory), length, 0, iterations, torch.full_like(samples, Fallback.SEQUENTIAL))
    fallback = torch.full_like(samples, Fallback.WINDOWS)
    for begin in range(0, length, options.window):
        window = slice(begin, begin + options.window)
        attempt = iterate(recurrence.take(samples, window), guess[samples, window], memory, options)
        states[samples, window] = attempt.states
        iterations[samples] += attempt.iterations
        steps += int(attempt.iterations.max()) + 1
        scans += attempt.scan_flops
        lost = samples[~attempt.converged]
        if len(lost):
            states[lost] = recurrence.take(lost).rollout(start[lost])
            fallback[lost] = Fallback.SEQUENTIAL
            steps += length
        samples, memory = samples[attempt.converged], attempt.states[attempt.converged, -1]
        if not len(samples):
            break
    return _Solved(states, steps, scans, iterations, fallback)
