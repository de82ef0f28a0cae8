"""Picard's identities: sweep j holds j-step on-policy states; T sweeps are the rollout, 0 the guess."""

import pytest
import torch
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.networks.memory import normalize_memory
from memtrain.trajectory import Detached, Picard, Trajectory, rollout

LENGTH = 7


def picard(cell: Cell, guess: Tensor, start: Tensor, embeddings: Tensor, sweeps: int) -> Trajectory:
    """All states after so many sweeps."""
    return Picard(sweeps).solve(cell, start, embeddings, torch.arange(LENGTH), guess)


@pytest.fixture
def guess(cell: Cell) -> Tensor:
    """Stands for the teacher's memories, `[2, T, K, D]`."""
    raw = torch.randn(2, LENGTH, cell.memory_tokens, cell.width, dtype=torch.float64)
    return normalize_memory(raw, cell.memory_normalization)


def test_no_sweep_leaves_the_guess(cell: Cell, guess: Tensor, start: Tensor, embeddings: Tensor) -> None:
    trajectory = picard(cell, guess, start, embeddings, sweeps=0)
    assert torch.equal(trajectory.states, guess)
    assert not trajectory.converged.any()
    assert trajectory.sequential_steps == 0


@pytest.mark.parametrize("sweeps", [1, 2, 5])
def test_k_sweeps_are_k_step_rollouts_from_the_teacher_k_steps_back(
    cell: Cell, guess: Tensor, start: Tensor, embeddings: Tensor, sweeps: int
) -> None:
    trajectory = picard(cell, guess, start, embeddings, sweeps)
    for t in range(LENGTH):
        back = t - sweeps
        memory = guess[:, back] if back >= 0 else start
        for s in range(max(back, -1) + 1, t + 1):
            memory = cell.step(memory, embeddings[:, s])
        torch.testing.assert_close(trajectory.states[:, t], memory, rtol=1e-11, atol=1e-11)
    assert trajectory.converged.tolist() == [[t < sweeps for t in range(LENGTH)]] * 2
    assert trajectory.sequential_steps == sweeps


@pytest.mark.parametrize("sweeps", [LENGTH, LENGTH + 5])
def test_t_sweeps_are_the_rollout_with_all_its_gradients(
    cell: Cell, guess: Tensor, start: Tensor, embeddings: Tensor, sweeps: int
) -> None:
    start.requires_grad_()
    embeddings.requires_grad_()
    trajectory, expected = picard(cell, guess, start, embeddings, sweeps), rollout(cell, start, embeddings)
    torch.testing.assert_close(trajectory.states, expected, rtol=1e-11, atol=1e-11)
    assert trajectory.converged.all()
    assert trajectory.sequential_steps == LENGTH
    direction = torch.randn_like(expected)
    variables = [start, embeddings, *cell.parameters()]
    gradients = [torch.autograd.grad((s * direction).sum(), variables) for s in (trajectory.states, expected)]
    for of_picard, of_rollout in zip(*gradients, strict=True):
        torch.testing.assert_close(of_picard, of_rollout, rtol=1e-9, atol=1e-9)


def test_converged_states_are_the_rollout(cell: Cell, guess: Tensor, start: Tensor, embeddings: Tensor) -> None:
    trajectory = picard(cell, guess, start, embeddings, sweeps=4)
    expected = rollout(cell, start, embeddings)
    known = trajectory.converged
    torch.testing.assert_close(trajectory.states[known], expected[known], rtol=1e-11, atol=1e-11)
    assert not torch.allclose(trajectory.states[~known], expected[~known], atol=1e-6)


def test_the_gradient_goes_back_through_the_sweeps(
    cell: Cell, guess: Tensor, start: Tensor, embeddings: Tensor
) -> None:
    """Three sweeps back of the state after step 5: the inputs 3, 4 and 5; a cell evaluation each, forward and back."""
    embeddings.requires_grad_()
    trajectory = Picard(3).solve(cell, start, embeddings, torch.tensor([5]), guess)
    (gradient,) = torch.autograd.grad((trajectory.states * torch.randn_like(trajectory.states)).sum(), embeddings)
    assert gradient.norm(dim=(0, 2)).nonzero().flatten().tolist() == [3, 4, 5]
    assert trajectory.gradient_chain == 3
    assert trajectory.sequential_flops(update=10) == 3 * 3 * 10


# Refusals


def test_without_a_guess_it_is_refused(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    assert Picard().needs_guess
    with pytest.raises(ValueError, match="trajectory is Picard, but there is no guess"):
        Picard().solve(cell, start, embeddings, torch.arange(LENGTH))


def test_no_sweep_is_for_detached_alone(cell: Cell) -> None:
    with pytest.raises(ValueError, match=r"Picard\.sweeps is 0, but .* put Picard inside Detached"):
        Picard(sweeps=0).check(cell)
    Detached(Picard(sweeps=0)).check(cell)


def test_a_negative_number_of_sweeps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Picard\.sweeps is -1, but must be at least 0"):
        Picard(sweeps=-1)
