"""Newton's iteration over all timesteps of a recurrence, and other ways for samples on which it fails."""

import logging
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from memtrain.scan import Backend, preceding, scan_levels
from memtrain.trajectory.guess import relative_size
from memtrain.trajectory.recurrence import Jacobian, Recurrence, propagate, propagation_flops
from memtrain.trajectory.solution import Fallback

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """Where Newton's iteration has ended, whether or not that is a solution.

    Attributes:
        states: `[B, T, K, D]`.
        residual: `[B]`, that of these states, NaN or infinite where it diverged.
        converged: bool `[B]`, the residual is within the tolerance.
        iterations: int64 `[B]`, updates made.
        scan_flops: sequential FLOPs of their linear recurrences, per sample.
        scan_levels: dependent operations of these.
    """

    states: Tensor
    residual: Tensor
    converged: Tensor
    iterations: Tensor
    scan_flops: int
    scan_levels: int


class Solved(NamedTuple):
    """States all of which are the rollout's within the tolerance, and what they took; see NewtonTrajectory."""

    states: Tensor
    sequential_steps: int
    scan_flops: int
    scan_levels: int
    iterations: Tensor
    fallback: Tensor


@dataclass(frozen=True)
class Iteration:
    """`h += delta`, `delta_t = J_t delta_{t-1} + f_t(h_{t-1}) - h_t`; for the attributes see Newton."""

    jacobian: Jacobian
    tolerance: float
    maximum_iterations: int
    patience: int
    window: int | None
    scan: Backend

    @torch.no_grad()
    def attempt(self, recurrence: Recurrence, guess: Tensor, memory: Tensor) -> Attempt:
        """Iterate until each sample succeeds or fails.

        After k updates the first k states are exact. Each sample stops by itself: when it has converged, has become
        infinite or NaN, has set no new lowest residual for `patience` updates, or is out of iterations. Iterates of
        cells whose memories are bounded are kept within these bounds.

        Args:
            recurrence: f_t.
            guess: `h_t` to start from, `[B, T, K, D]`.
            memory: `h_{-1}`, `[B, K, D]`.
        """
        states, active = guess.clone(), torch.arange(len(guess), device=guess.device)
        residual, lowest = states.new_full((2, len(guess)), torch.inf)
        iterations, stale = torch.zeros(2, len(guess), dtype=torch.int64, device=guess.device)
        scans = levels = 0
        for iteration in range(self.maximum_iterations + 1):
            now, part = states[active], recurrence.take(active)
            after, jacobian = part.linearize(preceding(memory[active], now), self.jacobian)
            defect = after - now
            size = relative_size(defect, now)
            residual[active], iterations[active] = size, iteration
            stale[active] = (stale[active] + 1).masked_fill(size < lowest[active], 0)
            lowest[active] = torch.minimum(size, lowest[active])
            going = (size > self.tolerance) & size.isfinite() & (stale[active] < self.patience)
            if iteration == self.maximum_iterations or not going.any():
                break
            updated = part.clip(now + propagate(jacobian, defect, None, self.scan), memory[active])
            scans += propagation_flops(jacobian, now, self.scan)
            levels += scan_levels(now.shape[1])
            active = active[going]
            states[active] = updated[going]
        return Attempt(states, residual, residual <= self.tolerance, iterations, scans, levels)

    @torch.no_grad()
    def solve(self, recurrence: Recurrence, guess: Tensor, memory: Tensor) -> Solved:
        """All samples at once, then by another way those that have failed; see `attempt` for the arguments."""
        attempt = self.attempt(recurrence, guess, memory)
        states, iterations = attempt.states, attempt.iterations
        scans, levels = attempt.scan_flops, attempt.scan_levels
        steps = int(iterations.max()) + 1
        fallback = torch.full_like(iterations, Fallback.NONE)
        failed = (~attempt.converged).nonzero().flatten()
        if len(failed):
            rescued = self._rescue(recurrence.take(failed), guess[failed], memory[failed])
            states[failed], fallback[failed] = rescued.states, rescued.fallback
            iterations[failed] += rescued.iterations
            steps += rescued.sequential_steps
            scans += rescued.scan_flops
            levels += rescued.scan_levels
            log.info("newton: %d of %d samples failed, residual %.1e", len(failed), len(guess), attempt.residual.max())
            warnings.warn(
                "trajectory is Newton, but some samples did not converge. They were solved in windows or step by step, "
                "which is slow; the log says how many (newton_fallback). In windows a chaotic cell may be far from its "
                "rollout, though within the tolerance (newton_error). Raise teacher_forcing, or take Sequential.",
                stacklevel=3,
            )
        return Solved(states, steps, scans, levels, iterations, fallback)

    def _rescue(self, recurrence: Recurrence, guess: Tensor, memory: Tensor) -> Solved:
        """Windows, one after the other. A sample with a failing window is rolled out step by step, from its start.

        From its start, for solved windows are as exact as the tolerance says, and where windows fail errors grow.
        """
        count, length = guess.shape[:2]
        start = memory
        samples, states = torch.arange(count, device=guess.device), guess.clone()
        iterations, steps, scans, levels = torch.zeros_like(samples), 0, 0, 0
        if self.window is None or self.window >= length:
            fallback = torch.full_like(samples, Fallback.SEQUENTIAL)
            return Solved(recurrence.rollout(memory), length, 0, 0, iterations, fallback)
        fallback = torch.full_like(samples, Fallback.WINDOWS)
        for begin in range(0, length, self.window):
            window = slice(begin, begin + self.window)
            attempt = self.attempt(recurrence.take(samples, window), guess[samples, window], memory)
            states[samples, window] = attempt.states
            iterations[samples] += attempt.iterations
            steps += int(attempt.iterations.max()) + 1
            scans += attempt.scan_flops
            levels += attempt.scan_levels
            lost = samples[~attempt.converged]
            if len(lost):
                states[lost] = recurrence.take(lost).rollout(start[lost])
                fallback[lost] = Fallback.SEQUENTIAL
                steps += length
            samples, memory = samples[attempt.converged], attempt.states[attempt.converged, -1]
            if not len(samples):
                break
        return Solved(states, steps, scans, levels, iterations, fallback)
