"""The sequential rollout: the definition that everything else is tested against."""

import torch
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.trajectory import sequential


def test_sequential_is_the_cell_applied_step_by_step(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    trajectory = sequential(cell, start, embeddings)
    memory = start
    for t in range(7):
        memory = cell.step(memory, embeddings[:, t])
        torch.testing.assert_close(trajectory.states[:, t], memory, rtol=1e-12, atol=1e-12)
    assert trajectory.converged.shape == (2, 7)
    assert trajectory.converged.all()
    assert trajectory.sequential_steps == 7


def test_a_rollout_continues_where_another_ended(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    whole = sequential(cell, start, embeddings).states
    first = sequential(cell, start, embeddings[:, :3]).states
    second = sequential(cell, first[:, -1], embeddings[:, 3:]).states
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-12, atol=1e-12)
