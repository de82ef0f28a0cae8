"""Exact gradients of a known trajectory by one parallel scan, however its states were found."""

from typing import Any

import torch
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.scan import Backend, preceding
from memtrain.trajectory.recurrence import Recurrence, propagate, propagation_flops


def attach_gradient(
    recurrence: Recurrence, states: Tensor, memory: Tensor, scan: Backend = "chunked"
) -> tuple[Tensor, Tensor, Tensor]:
    """Give solved states the gradient of the rollout, by one differentiable step of Newton's method.

    With `h_t = f_t(h_{t-1})` already solved, the derivatives obey the linear recurrence
    `dh_t = J_t dh_{t-1} + d f_t(h_{t-1} held fixed)`. So all `f_t` are evaluated at once, on states without gradient,
    and the scan's own backward does the rest (DEER: Lim et al., arXiv 2309.12252).

    Args:
        recurrence: f_t, with inputs that carry the gradient.
        states: `h_t`, `[B, T, K, D]`, without gradient.
        memory: `h_{-1}`, `[B, K, D]`.
        scan: see `memtrain.scan`.

    Returns:
        Three tensors: the same states, with gradient; `f_t(h_{t-1})` and J, without. J is always the whole Jacobian:
        gradients by its diagonal alone are wrong by about half.
    """
    after, matrices = recurrence.linearize(preceding(memory, states).detach())
    if torch.is_grad_enabled():
        # Their values are 0, only their gradients count.
        of_step, of_memory = after - after.detach(), memory - memory.detach()
        states = _WithGradientOf.apply(states, propagate(matrices, of_step, of_memory, scan))
    return states, after.detach(), matrices


class _WithGradientOf(torch.autograd.Function):
    """The first tensor's values with the second's gradient. A sum would be NaN where Jacobians overflow in the scan."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, carrier: Tensor) -> Tensor:
        """The values."""
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        """The gradient, to the carrier alone."""
        return None, gradients[0]


def scan_adjoint(cell: Cell, memory: Tensor, inputs: Tensor, scan: Backend = "chunked") -> tuple[Tensor, int]:
    """The sequential rollout, whose gradient is one parallel scan instead of back-propagation through T steps.

    It computes in the memory's own precision: autocast is off.

    Args:
        cell: the update f.
        memory: the memory to start from, `[B, K, D]`.
        inputs: embedded inputs, `[B, T, D]`.
        scan: see `memtrain.scan`.

    Returns:
        The states of the rollout, `[B, T, K, D]`, with its gradients; and the sequential FLOPs of the scan.
    """
    with torch.autocast(memory.device.type, enabled=False):
        recurrence = Recurrence.of(cell, inputs.to(memory.dtype))
        with torch.no_grad():
            states = recurrence.rollout(memory)
        states, _, matrices = attach_gradient(recurrence, states, memory, scan)
    return states, propagation_flops(matrices, states, scan)
