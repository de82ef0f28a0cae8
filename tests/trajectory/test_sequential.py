"""The sequential rollout: the definition that everything else is tested against, and two ways back through it."""

import pytest
import torch
from torch import Tensor

from memtrain.networks.cells import Cell, GRUCell, MLPCell, ParaGRUCell, ParaLSTMCell, TransformerCell
from memtrain.scan import scan_flops
from memtrain.trajectory import Sequential, rollout

LABELS = torch.tensor([1, 4, 6])


def gradients(states: Tensor, variables: list[Tensor]) -> list[Tensor]:
    """Of a fixed random projection of `states`."""
    direction = torch.randn(states.shape, generator=torch.Generator().manual_seed(3), dtype=states.dtype)
    return list(torch.autograd.grad((states * direction).sum(), variables))


def test_a_rollout_is_the_cell_applied_step_by_step(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    states, memory = rollout(cell, start, embeddings), start
    for t in range(7):
        memory = cell.step(memory, embeddings[:, t])
        torch.testing.assert_close(states[:, t], memory, rtol=1e-12, atol=1e-12)


def test_a_rollout_continues_where_another_ended(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    whole = rollout(cell, start, embeddings)
    first = rollout(cell, start, embeddings[:, :3])
    second = rollout(cell, first[:, -1], embeddings[:, 3:])
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", [Sequential(), Sequential("scan"), Sequential(truncation=3)], ids=str)
def test_values_are_the_rollout_at_the_labels_whatever_the_gradient(
    cell: Cell, start: Tensor, embeddings: Tensor, solver: Sequential
) -> None:
    trajectory = solver.solve(cell, start, embeddings, LABELS)
    torch.testing.assert_close(trajectory.states, rollout(cell, start, embeddings)[:, LABELS], rtol=1e-12, atol=1e-12)
    assert trajectory.converged.shape == (2, 3)
    assert trajectory.converged.all()
    assert trajectory.means() == trajectory.worst() == {}


@pytest.mark.parametrize("adjoint", ["auto", "autograd", "scan"])
def test_the_gradient_reaches_back_to_the_start(cell: Cell, start: Tensor, embeddings: Tensor, adjoint: str) -> None:
    variables = [start.requires_grad_(), embeddings.requires_grad_(), *cell.parameters()]
    expected = gradients(rollout(cell, start, embeddings)[:, LABELS], variables)
    found = gradients(Sequential(adjoint).solve(cell, start, embeddings, LABELS).states, variables)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_truncation_cuts_the_gradient_every_so_many_steps(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    """With a cut after every 3 steps the memory after step 4 depends on the inputs 3 and 4 alone."""
    embeddings.requires_grad_()
    states = Sequential(truncation=3).solve(cell, start, embeddings, torch.tensor([4])).states
    (gradient,) = gradients(states, [embeddings])
    assert gradient.norm(dim=(0, 2)).nonzero().flatten().tolist() == [3, 4]


def test_costs_by_hand() -> None:
    """Seven steps at 10 FLOPs forward and 20 back; a scan takes one more step, and goes back through it alone."""
    cell = ParaGRUCell(4, 1, "tanh")
    start, embeddings = torch.zeros(1, 1, 4), torch.randn(1, 7, 4)
    for solver, flops, chain in (
        (Sequential("autograd"), 7 * 10 + 7 * 20, 7),
        (Sequential(truncation=3), 7 * 10 + 3 * 20, 3),
        (Sequential(truncation=9), 7 * 10 + 7 * 20, 7),
        (Sequential("scan"), 8 * 10 + 20 + scan_flops(4, 1, 7, "chunked"), 7),
    ):
        trajectory = solver.solve(cell, start, embeddings, LABELS)
        assert trajectory.sequential_flops(update=10) == flops
        assert trajectory.gradient_chain == chain


def test_auto_scans_where_the_jacobian_is_diagonal_and_nothing_is_cut() -> None:
    cells = {kind: kind(4, 1, "tanh") for kind in (ParaGRUCell, ParaLSTMCell, GRUCell)}
    assert [Sequential().scans(cell) for cell in cells.values()] == [True, False, False]
    assert not Sequential(truncation=3).scans(cells[ParaGRUCell])
    assert not Sequential("autograd").scans(cells[ParaGRUCell])


class Forgetful(MLPCell):
    """Its dropout draws anew at each call."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return torch.nn.functional.dropout(super().step(memory, embedding), 0.5, self.training)


@pytest.mark.parametrize(
    ("cell", "match"),
    [
        (Forgetful(4, 2, "rms"), r"Forgetful, whose step draws random numbers, .* adjoint autograd"),
        (TransformerCell(64, 2, "rms"), r"TransformerCell has 128 numbers, .* adjoint autograd"),
    ],
)
def test_a_scan_refuses_a_cell_without_a_jacobian_before_training(cell: Cell, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Sequential("scan").check(cell)
    for solver in (Sequential("autograd"), Sequential()):
        solver.check(cell)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"truncation": 0}, r"Sequential\.truncation is 0, but must be at least 1"),
        ({"adjoint": "scan", "truncation": 2}, r"Sequential\.truncation is 2, but adjoint is scan"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Sequential(**options)
