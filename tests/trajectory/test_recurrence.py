"""Recurrences: all timesteps at once equal single steps, Jacobians equal autograd's, teacher forcing mixes memories."""

from functools import partial

import pytest
import torch
from torch import Tensor

from memtrain.networks.cells import (
    Cell,
    LSTMCell,
    MLPCell,
    ParaGRUCell,
    ParaLSTMCell,
    StructuredCell,
    TransformerCell,
)
from memtrain.networks.memory import normalize_memory
from memtrain.scan import preceding
from memtrain.trajectory import rollout
from memtrain.trajectory.exponent import largest_exponent, largest_lyapunov_exponent
from memtrain.trajectory.recurrence import Recurrence, propagate


@pytest.fixture
def before(cell: Cell) -> Tensor:
    """Memories to step from, `[2, T, K, D]`."""
    raw = torch.randn(2, 7, cell.memory_tokens, cell.width, dtype=torch.float64)
    return normalize_memory(raw, cell.memory_normalization)


def test_all_timesteps_at_once_are_single_steps(cell: Cell, before: Tensor, embeddings: Tensor) -> None:
    after = Recurrence.of(cell, embeddings).step(before)
    for t in range(7):
        torch.testing.assert_close(after[:, t], cell.step(before[:, t], embeddings[:, t]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("jacobian", ["auto", "full"])
def test_jacobian_times_direction_is_autograds(cell: Cell, before: Tensor, embeddings: Tensor, jacobian: str) -> None:
    """By a recurrence of two steps: `propagate` takes a change of the first state to `J_1` times it."""
    recurrence = Recurrence.of(cell, embeddings)
    after, matrices = recurrence.linearize(before, jacobian)
    torch.testing.assert_close(after, recurrence.step(before), rtol=1e-12, atol=1e-12)
    direction = torch.randn_like(before[:, 0])
    changes = torch.zeros_like(before[:, :2])
    changes[:, 0] = direction
    for t in range(1, 7):
        moved = propagate(matrices[:, t - 1 : t + 1], changes, None, "loop")[:, 1]
        step = partial(lambda t, m: cell.step(m, embeddings[:, t]), t)
        _, expected = torch.autograd.functional.jvp(step, before[:, t], direction)
        torch.testing.assert_close(moved, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", [MLPCell, ParaGRUCell, ParaLSTMCell])
def test_the_diagonal_is_that_of_the_full_jacobian(kind: type[Cell]) -> None:
    cell = kind(4, 2, "tanh").double()
    recurrence = Recurrence.of(cell, torch.randn(2, 3, 4, dtype=torch.float64))
    before = torch.randn(2, 3, 2, 4, dtype=torch.float64).tanh()
    _, diagonal = recurrence.linearize(before, "diagonal")
    _, full = recurrence.linearize(before, "full")
    expected = full.squeeze(2).diagonal(dim1=-2, dim2=-1).view(2, 3, 2, 4)
    torch.testing.assert_close(diagonal, expected, rtol=1e-12, atol=1e-12)


def test_inputs_are_projected_once_and_before_the_recurrence() -> None:
    class Counting(ParaGRUCell):
        calls = 0

        def project(self, embedding: Tensor) -> Tensor:
            self.calls += 1
            return super().project(embedding)

    cell = Counting(8, 1, "tanh")
    recurrence = Recurrence.of(cell, torch.randn(2, 5, 8))
    recurrence.rollout(torch.zeros(2, 1, 8))
    recurrence.linearize(torch.zeros(2, 5, 1, 8))
    assert cell.calls == 1


@pytest.mark.parametrize("alpha", [0.25, 1.0])
def test_teacher_forcing_mixes_the_teachers_memory_into_all_steps_but_the_first(
    cell: Cell, start: Tensor, embeddings: Tensor, before: Tensor, alpha: float
) -> None:
    teacher = before
    memory, expected = start, []
    for t in range(7):
        fed = memory if t == 0 else (1 - alpha) * memory + alpha * teacher[:, t - 1]
        memory = cell.step(fed, embeddings[:, t])
        expected.append(memory)
    recurrence = Recurrence.of(cell, embeddings, teacher, alpha)
    states = recurrence.rollout(start)
    torch.testing.assert_close(states, torch.stack(expected, dim=1), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(recurrence.step(preceding(start, states)), states, rtol=1e-11, atol=1e-11)


def test_teacher_forcing_scales_the_jacobian_by_what_it_leaves_of_the_state() -> None:
    cell = ParaLSTMCell(4, 1, "tanh").double()
    embeddings, teacher, states = (torch.rand(2, 3, *shape, dtype=torch.float64) for shape in ((4,), (1, 4), (1, 4)))
    fed = states.clone()
    fed[:, 1:] = 0.7 * states[:, 1:] + 0.3 * teacher[:, :-1]
    _, plain = Recurrence.of(cell, embeddings).linearize(fed)
    _, forced = Recurrence.of(cell, embeddings, teacher, 0.3).linearize(states)
    torch.testing.assert_close(forced[:, 0], plain[:, 0])
    torch.testing.assert_close(forced[:, 1:], 0.7 * plain[:, 1:])


def test_teacher_forcing_without_a_teacher_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Newton\.teacher_forcing is 0\.5, but there are no teacher memories"):
        Recurrence.of(ParaGRUCell(4, 1, "tanh"), torch.zeros(1, 2, 4), alpha=0.5)


class Distant(MLPCell):
    """Its step has an operation without forward-mode derivative."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return torch.cdist(super().step(memory, embedding), torch.zeros(self.width, self.width), p=1.0)


def test_a_cell_without_forward_mode_derivatives_is_refused_with_a_remedy() -> None:
    recurrence = Recurrence.of(Distant(4, 2, "rms"), torch.randn(1, 3, 4))
    with pytest.raises(
        ValueError, match=r"Distant, .* \(Trying to use forward AD with .*\); override its elementary_update"
    ):
        recurrence.linearize(torch.randn(1, 3, 2, 4))


def test_some_samples_over_some_timesteps_are_a_recurrence_of_their_own(
    cell: Cell, start: Tensor, embeddings: Tensor, before: Tensor
) -> None:
    whole = Recurrence.of(cell, embeddings, before, 0.5)
    states = whole.rollout(start)
    part = whole.take(torch.tensor([1]), slice(3, 6))
    torch.testing.assert_close(part.rollout(states[1:, 2]), states[1:, 3:6], rtol=1e-12, atol=1e-12)


def test_a_dense_jacobian_of_a_large_memory_is_refused_in_one_sentence() -> None:
    cell = TransformerCell(32, 3, "rms")
    with pytest.raises(ValueError, match=r"TransformerCell has 96 numbers, .* up to 64; set trajectory") as e:
        Recurrence.of(cell, torch.zeros(1, 2, 32)).linearize(torch.randn(1, 2, 3, 32))
    assert "\n" not in str(e.value)


def test_a_structured_cell_of_any_size_has_its_jacobian() -> None:
    cell = ParaGRUCell(128, 4, "tanh")
    _, matrices = Recurrence.of(cell, torch.zeros(1, 2, 128)).linearize(torch.zeros(1, 2, 4, 128))
    assert matrices.shape == (1, 2, 4, 128)


def test_a_bounded_cell_clips_to_the_cube_of_its_first_memory_and_others_do_not() -> None:
    wild = torch.tensor([-7.0, -0.5, 1.5, 9.0]).expand(2, 1, 1, 4)
    memory = torch.tensor([[[0.0, 0.1, 0.2, 0.3]], [[2.0, 0.0, 0.0, 0.0]]])
    clipped = Recurrence.of(ParaGRUCell(4, 1, "tanh"), torch.zeros(2, 1, 4)).clip(wild, memory)
    assert clipped.squeeze().tolist() == [[-1.0, -0.5, 1.0, 1.0], [-2.0, -0.5, 1.5, 2.0]]
    assert torch.equal(Recurrence.of(LSTMCell(4, 1, "tanh"), torch.zeros(2, 1, 4)).clip(wild, memory), wild)


@pytest.mark.parametrize("kind", [ParaGRUCell, ParaLSTMCell])
def test_a_bounded_cell_never_leaves_that_cube(kind: type[StructuredCell]) -> None:
    cell = kind(8, 2, "tanh", accept_rms=True)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_(0, 3)
        start = 3 * torch.randn(4, 2, 8)
        states = rollout(cell, start, torch.randn(4, 50, 8))
    bounds = start.abs().flatten(1).amax(1).clamp(min=1)
    assert (states.abs().flatten(1).amax(1) <= bounds).all()


@pytest.mark.parametrize("jacobian", ["auto", "full"])
def test_the_exponent_is_that_of_the_metric(cell: Cell, start: Tensor, embeddings: Tensor, jacobian: str) -> None:
    """The metric follows the same random direction by Jacobian-vector products."""
    states = rollout(cell, start, embeddings)
    _, matrices = Recurrence.of(cell, embeddings).linearize(preceding(start, states), jacobian)
    exponents = largest_exponent(matrices, seed=4)
    assert exponents.shape == (2,)
    torch.testing.assert_close(exponents.mean(), largest_lyapunov_exponent(cell, start, embeddings, seed=4))
