"""The scan adjoint: the gradient of the rollout for states that any solver has found."""

import pytest
import torch
from torch import Tensor

from memtrain.networks.cells import Cell, GRUCell, ParaLSTMCell
from memtrain.trajectory import rollout
from memtrain.trajectory.adjoint import attach_gradient, scan_adjoint
from memtrain.trajectory.recurrence import Recurrence


@pytest.mark.parametrize("scan", ["loop", "chunked", "blelloch"])
def test_the_scan_adjoint_is_back_propagation_through_time(
    cell: Cell, start: Tensor, embeddings: Tensor, scan: str
) -> None:
    start.requires_grad_()
    embeddings.requires_grad_()
    (states, _), expected = scan_adjoint(cell, start, embeddings, scan=scan), rollout(cell, start, embeddings)
    torch.testing.assert_close(states, expected, rtol=1e-12, atol=1e-12)
    direction = torch.randn_like(expected)
    variables = [start, embeddings, *cell.parameters()]
    both = [torch.autograd.grad((found * direction).sum(), variables) for found in (states, expected)]
    for of_scan, of_rollout in zip(*both, strict=True):
        torch.testing.assert_close(of_scan, of_rollout, rtol=1e-10, atol=1e-10)


def test_attaching_a_gradient_changes_no_state_by_a_single_bit() -> None:
    cell = ParaLSTMCell(8, 2, "tanh")
    states = torch.randn(2, 5, 2, 8)
    recurrence = Recurrence.of(cell, torch.randn(2, 5, 8))
    attached, after, jacobian = attach_gradient(recurrence, states, torch.randn(2, 2, 8))
    assert torch.equal(attached, states)
    assert attached.requires_grad
    assert not after.requires_grad
    assert not jacobian.requires_grad


class ChaoticCell(Cell):
    """`m_{t+1} = sin(20 m_t + x_{t+1})`: memories stay small, products of its Jacobians overflow."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return torch.sin(20 * memory + embedding.unsqueeze(1))


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("scan", ["chunked", "blelloch"])
def test_states_are_finite_where_products_of_jacobians_are_not(gradient: bool, scan: str) -> None:
    """Blelloch's scan multiplies the Jacobians of half the sequence."""
    cell = ChaoticCell(2, 2, "none")
    start, embeddings = torch.randn(1, 2, 2), torch.randn(1, 512, 2, requires_grad=True)
    with torch.set_grad_enabled(gradient):
        states, _ = scan_adjoint(cell, start, embeddings, scan=scan)
    assert torch.equal(states, rollout(cell, start, embeddings))
    assert states.requires_grad == gradient


def test_why_the_adjoint_takes_the_whole_jacobian() -> None:
    """With the diagonal alone, the gradient in a dense cell's initial memory is wrong by a large part of itself."""
    cell = GRUCell(8, 2, "tanh").double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.mul_(3)
    start = torch.rand(2, 2, 8, dtype=torch.float64, requires_grad=True)
    recurrence = Recurrence.of(cell, torch.randn(2, 3, 8, dtype=torch.float64))
    states = recurrence.rollout(start)
    (exact,) = torch.autograd.grad(states[:, -1].sum(), start, retain_graph=True)
    _, diagonal = recurrence.linearize(torch.cat([start.unsqueeze(1), states[:, :-1]], dim=1).detach(), "diagonal")
    wrong = diagonal.prod(dim=1)
    assert (wrong - exact).norm() > 0.45 * exact.norm()
