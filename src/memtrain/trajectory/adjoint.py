"""Exact gradients of a known trajectory by one parallel scan, however its states were found."""

from typing import Any

import torch
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.trajectory.recurrence import Recurrence, propagate, propagation_flops
from memtrain.trajectory.scan import Backend, preceding
from memtrain.trajectory.solution import Trajectory


def attach_gradient(
    recurrence: Recurrence, states: Tensor, memory: Tensor, scan: Backend = "chunked"
) -> tuple[Tensor, Tensor, Tensor]:
    """Give solved states the gradient of the rollout, by one differentiable step of Newton's method.

    With `h_t = f_t(h_{t-1})` already solved, the derivatives obey the linear recurrence
    `dh_t = J_t dh_{t-1} + d f_t(h_{t-1} held fixed)`. So every `f_t` is evaluated once, all at a time, on states that
    carry no gradient, and the scan's own backward does the rest (DEER: Lim et al., arXiv 2309.12252).

    Args:
        recurrence: f_t, with inputs that carry the gradient.
        states: `h_t`, `[B, T, K, D]`, without gradient.
        memory: `h_{-1}`, `[B, K, D]`.
        scan: see `memtrain.trajectory.scan`.

    Returns:
        The same states with gradient; `f_t(h_{t-1})`, without; and J, without: always the whole, for gradients by its
        diagonal alone are wrong by about half.
    """
    after, matrices = recurrence.linearize(preceding(memory, states).detach())
    if torch.is_grad_enabled():
        # Their values are 0, only their gradients count.
        of_step, of_memory = after - after.detach(), memory - memory.detach()
        states = _WithGradientOf.apply(states, propagate(matrices, of_step, of_memory, scan))
    return states, after.detach(), matrices


class _WithGradientOf(torch.autograd.Function):
    """The first tensor's values with the second's gradient: a sum would be NaN where Jacobians overflow in the scan."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, carrier: Tensor) -> Tensor:
        """The values."""
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        """The gradient, to the carrier alone."""
        return None, gradients[0]


def scan_adjoint(cell: Cell, memory: Tensor, embeddings: Tensor, scan: Backend = "chunked") -> Trajectory:
    """The sequential rollout, whose gradient is one parallel scan instead of back-propagation through T steps.

    Args:
        cell: the update f.
        memory: the memory to start from, `[B, K, D]`.
        embeddings: embedded inputs, `[B, T, D]`.
        scan: see `memtrain.trajectory.scan`.

    Returns:
        The trajectory of `sequential`, with the same gradients, in the memory's own precision: autocast is off, which
        it is not in `sequential`.
    """
    with torch.autocast(memory.device.type, enabled=False):
        recurrence = Recurrence.of(cell, embeddings.to(memory.dtype))
        with torch.no_grad():
            states = recurrence.rollout(memory)
        states, _, matrices = attach_gradient(recurrence, states, memory, scan)
    backward = propagation_flops(matrices, states, scan)
    return Trajectory.known(states, embeddings.shape[1], scan_flops=backward)
