"""Picard's identities: sweep j holds j-step on-policy states; T sweeps are the rollout, 0 the guess."""

import pytest
import torch
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.networks.memory import normalize_memory
from memtrain.trajectory import picard, sequential

LENGTH = 7


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
    trajectory, rollout = picard(cell, guess, start, embeddings, sweeps), sequential(cell, start, embeddings)
    torch.testing.assert_close(trajectory.states, rollout.states, rtol=1e-11, atol=1e-11)
    assert trajectory.converged.all()
    assert trajectory.sequential_steps == LENGTH
    direction = torch.randn_like(rollout.states)
    variables = [start, embeddings, *cell.parameters()]
    gradients = [torch.autograd.grad((s * direction).sum(), variables) for s in (trajectory.states, rollout.states)]
    for of_picard, of_rollout in zip(*gradients, strict=True):
        torch.testing.assert_close(of_picard, of_rollout, rtol=1e-9, atol=1e-9)


def test_converged_states_are_the_rollout(cell: Cell, guess: Tensor, start: Tensor, embeddings: Tensor) -> None:
    trajectory = picard(cell, guess, start, embeddings, sweeps=4)
    rollout = sequential(cell, start, embeddings).states
    known = trajectory.converged
    torch.testing.assert_close(trajectory.states[known], rollout[known], rtol=1e-11, atol=1e-11)
    assert not torch.allclose(trajectory.states[~known], rollout[~known], atol=1e-6)
