"""Linear recurrences: every backend equals the loop written by hand, values and gradients, at odd lengths too."""

import pytest
import torch
from torch import Tensor

from memtrain.scan import Backend, linear_recurrence, scan_flops

BACKENDS: list[Backend] = ["loop", "chunked", "blelloch"]
LENGTHS = [1, 2, 17, 256, 1000]
STRUCTURES = {"diagonal": (4,), "block-diagonal": (2, 2), "dense": (4,)}


def problem(structure: str, length: int) -> list[Tensor]:
    """`A_t` of norm at most 1, `b_t` and `h_{-1}`, float64, all of which need a gradient."""
    shape = (2, length, *STRUCTURES[structure])
    coefficients = torch.rand(shape, dtype=torch.float64) * 2 - 1
    if structure != "diagonal":
        raw = torch.randn(*shape, shape[-1], dtype=torch.float64)
        sizes = torch.rand(*shape[:-1], 1, 1, dtype=torch.float64)
        coefficients = raw / torch.linalg.matrix_norm(raw, ord=2, keepdim=True) * sizes
    inputs = torch.randn(shape, dtype=torch.float64)
    initial = torch.randn(2, *shape[2:], dtype=torch.float64)
    return [x.requires_grad_() for x in (coefficients, inputs, initial)]


def by_hand(coefficients: Tensor, inputs: Tensor, initial: Tensor) -> Tensor:
    """The definition, differentiated by autograd."""
    state, states = initial, []
    for a, b in zip(coefficients.unbind(1), inputs.unbind(1), strict=True):
        state = b + (a * state if a.dim() == b.dim() else torch.einsum("...ij,...j->...i", a, state))
        states.append(state)
    return torch.stack(states, dim=1)


def relative_error(value: Tensor, expected: Tensor) -> float:
    return ((value - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize(
    ("block", "backend", "flops"),
    [
        (1, "loop", 10 * 8),  # a multiply-add of 4 numbers a step
        (1, "chunked", 3 * 8 + (3 + 1) * 8),  # 4 steps a chunk, 3 chunks
        (1, "blelloch", 4 * (8 + 8)),  # 4 levels: down, where states' multiply-adds outlast the joining, and up
        (2, "loop", 10 * 16),
        (2, "chunked", 3 * 32 + (3 + 1) * 16),  # joining two blocks of 2x2: 2 * 8 FLOPs, of which there are 2
        (4, "blelloch", 4 * (128 + 32)),
    ],
)
def test_sequential_flops_by_hand(block: int, backend: Backend, flops: int) -> None:
    """Ten steps of four numbers."""
    assert scan_flops(4, block, 10, backend) == flops


def test_a_worked_example() -> None:
    """h_{-1} = 8: 8/2 + 1 = 5, 5 * 2 + 0 = 10, 10 * 0 - 3 = -3."""
    coefficients, inputs = torch.tensor([[0.5, 2.0, 0.0]]), torch.tensor([[1.0, 0.0, -3.0]])
    for backend in BACKENDS:
        states = linear_recurrence(coefficients, inputs, torch.tensor([8.0]), backend)
        assert states.tolist() == [[5.0, 10.0, -3.0]]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_equals_the_loop_with_all_gradients(backend: str, structure: str, length: int) -> None:
    variables = problem(structure, length)
    states, expected = linear_recurrence(*variables, backend), by_hand(*variables)
    assert relative_error(states, expected) < 1e-12
    direction = torch.randn_like(expected)
    gradients = [torch.autograd.grad((s * direction).sum(), variables) for s in (states, expected)]
    for of_scan, of_loop in zip(*gradients, strict=True):
        assert relative_error(of_scan, of_loop) < 1e-12


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_first_and_second_derivatives_pass_gradcheck(backend: str, structure: str) -> None:
    variables = [x[:1].detach().requires_grad_() for x in problem(structure, 5)]
    assert torch.autograd.gradcheck(lambda *v: linear_recurrence(*v, backend), variables)
    assert torch.autograd.gradgradcheck(lambda *v: linear_recurrence(*v, backend), variables, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_an_initial_state_it_starts_from_zero(backend: str) -> None:
    coefficients, inputs, initial = problem("diagonal", 9)
    expected = by_hand(coefficients, inputs, torch.zeros_like(initial))
    assert relative_error(linear_recurrence(coefficients, inputs, backend=backend), expected) < 1e-12


def test_coefficients_of_a_foreign_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"coefficients have shape \(2, 5, 3\), but inputs of shape \(2, 5, 4\) need"):
        linear_recurrence(torch.zeros(2, 5, 3), torch.zeros(2, 5, 4))
