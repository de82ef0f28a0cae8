"""Detached: the states of any solver, with a gradient that is one step long."""

import pytest
import torch
from torch import Tensor

from memtrain.networks.cells import Cell, MLPCell, ParaGRUCell, TransformerCell
from memtrain.trajectory import Detached, Newton, Picard, Sequential, Solver, rollout

LABELS = torch.tensor([1, 4, 6])


def gradients(states: Tensor, variables: list[Tensor]) -> list[Tensor]:
    """Of a fixed random projection of `states`."""
    direction = torch.randn(states.shape, generator=torch.Generator().manual_seed(3), dtype=states.dtype)
    return list(torch.autograd.grad((states * direction).sum(), variables, allow_unused=True))


@pytest.mark.parametrize("inner", [Sequential(), Picard(sweeps=6), Newton(tolerance=1e-12)], ids=str)
def test_values_are_the_rollout_at_the_labels(cell: Cell, start: Tensor, embeddings: Tensor, inner: Solver) -> None:
    guess = torch.zeros(2, 7, 3, 8, dtype=torch.float64)
    trajectory = Detached(inner).solve(cell, start, embeddings, LABELS, guess)
    expected = rollout(cell, start, embeddings)[:, LABELS]
    torch.testing.assert_close(trajectory.states, expected, rtol=1e-10, atol=1e-10)
    assert trajectory.converged.all()


def test_it_trains_single_transitions(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    """Only inputs of labeled steps get a gradient, and parameters that of the isolated transitions."""
    embeddings.requires_grad_()
    states = rollout(cell, start, embeddings).detach()
    isolated = torch.stack([cell.step(states[:, t - 1], embeddings[:, t]) for t in LABELS], dim=1)
    variables = [embeddings, *cell.parameters()]
    expected = gradients(isolated, variables)
    found = gradients(Detached().solve(cell, start, embeddings, LABELS).states, variables)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert found[0].norm(dim=(0, 2)).nonzero().flatten().tolist() == LABELS.tolist()


def test_it_still_trains_the_initial_memory_where_it_is_labeled(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    states = Detached().solve(cell, start.requires_grad_(), embeddings, torch.tensor([0, 3])).states
    (gradient,) = gradients(states, [start])
    assert gradient.norm() > 0


def test_a_picard_without_sweeps_is_one_step_training(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    guess = torch.rand(2, 7, 3, 8, dtype=torch.float64)
    trajectory = Detached(Picard(sweeps=0)).solve(cell, start, embeddings, torch.tensor([0, 2]), guess)
    states = trajectory.states
    torch.testing.assert_close(states[:, 0], cell.step(start, embeddings[:, 0]), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(states[:, 1], cell.step(guess[:, 1], embeddings[:, 2]), rtol=1e-11, atol=1e-11)
    assert trajectory.converged.tolist() == [[True, False]] * 2


def test_teacher_forcing_mixes_memories_into_the_step_with_gradient_too(
    cell: Cell, start: Tensor, embeddings: Tensor
) -> None:
    guess = torch.rand(2, 7, 3, 8, dtype=torch.float64)
    inner = Newton(tolerance=1e-12, teacher_forcing=0.5)
    states = Detached(inner).solve(cell, start, embeddings, LABELS, guess).states
    expected = inner.solve(cell, start, embeddings, LABELS, guess).states
    torch.testing.assert_close(states, expected, rtol=1e-10, atol=1e-10)


def test_costs_by_hand() -> None:
    """The way forward at 10 FLOPs a step, one more step, and back through that one at 20."""
    cell = ParaGRUCell(4, 1, "tanh")
    start, embeddings, guess = torch.zeros(1, 1, 4), torch.randn(1, 7, 4), torch.zeros(1, 7, 1, 4)
    for inner, flops in ((Sequential(), 8 * 10 + 20), (Picard(2), 3 * 10 + 20), (Picard(0), 10 + 20)):
        trajectory = Detached(inner).solve(cell, start, embeddings, LABELS, guess)
        assert trajectory.sequential_flops(update=10) == flops
        assert trajectory.gradient_chain == 1
    newton = Detached(Newton()).solve(cell, start, embeddings, LABELS)
    steps = 2 + int(newton.iterations.max()) + 1 + 1  # the best guess, residuals, the step with gradient
    assert newton.sequential_flops(update=10) == steps * 10 + 20 + newton.scan_flops
    assert newton.means().keys() == {"newton_iterations", "newton_fallback"}


def test_it_asks_for_what_the_inner_solver_needs_and_goes_through_the_stage_with_it() -> None:
    assert not Detached().takes_guess
    assert Detached(Picard()).needs_guess
    assert Detached(Newton()).takes_guess
    assert not Detached(Newton()).needs_guess
    forced = Detached(Newton(teacher_forcing=[1.0, 0.0]))
    assert forced.at(1, 3) == Detached(Newton(teacher_forcing=0.5))


@pytest.mark.parametrize("inner", [Sequential(), Picard(sweeps=2)], ids=str)
def test_every_parameter_gets_a_gradient_after_a_pass_without_under_bfloat16_autocast(inner: Solver) -> None:
    """Autocast caches the weights it casts; those cast without gradient must not be used in the next pass."""
    cell = TransformerCell(8, 3, "rms", heads=2, head_dimension=4)
    start, embeddings = torch.randn(2, 3, 8), torch.randn(2, 7, 8)
    guess = torch.randn(2, 7, 3, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = Detached(inner).solve(cell, start, embeddings, LABELS, guess).states
        (states * torch.randn_like(states)).sum().backward()
    for name, parameter in cell.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.norm() > 0, name


class Forgetful(MLPCell):
    """Its dropout draws anew at each call."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return torch.nn.functional.dropout(super().step(memory, embedding), 0.5, self.training)


def test_newton_refuses_the_same_cells_inside_detached_and_stepping_none() -> None:
    with pytest.raises(ValueError, match="Forgetful, whose step draws random numbers"):
        Detached(Newton()).check(Forgetful(4, 2, "rms"))
    Detached(Sequential()).check(Forgetful(4, 2, "rms"))
    Detached(Picard()).check(Forgetful(4, 2, "rms"))


@pytest.mark.parametrize("inner", [Sequential("scan"), Sequential(truncation=3), Detached()], ids=str)
def test_options_that_nothing_would_use_are_refused(inner: Solver) -> None:
    with pytest.raises(ValueError, match=r"Detached\.trajectory is .*; (leave|give)"):
        Detached(inner)
