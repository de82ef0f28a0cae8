"""Cells are tried out before training: all their forms must be one function, with its own Jacobian."""

import pytest
import torch
from torch import Tensor

from memtrain.networks.cells import Cell, GRUCell, LSTMCell, MLPCell, ParaGRUCell
from memtrain.trajectory import Detached, Newton, Picard, Sequential, Solver
from memtrain.trajectory.exponent import largest_lyapunov_exponent


def slowly(step: Tensor, memory: Tensor) -> Tensor:
    """A tenth of the way."""
    return torch.lerp(memory, step, 0.1)


class SlowGRU(GRUCell):
    """Its rollout is still the fused kernel's."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return slowly(super().step(memory, embedding), memory)


class SlowLSTM(LSTMCell):
    """Its Jacobian is still that of the whole way."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return slowly(super().step(memory, embedding), memory)


class SlowParaGRU(ParaGRUCell):
    """Its update, which rollouts take, is still the whole way."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return slowly(super().step(memory, embedding), memory)


class SlowUpdate(ParaGRUCell):
    """Its step and rollout follow, its Jacobian does not."""

    def update(self, memory: Tensor, projected: Tensor) -> Tensor:
        return slowly(super().update(memory, projected), memory)


class Mended(GRUCell):
    """All forms of its own step."""

    unroll = Cell.unroll
    elementary_update = Cell.elementary_update

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return slowly(super().elementary_update(memory, embedding), memory)


@pytest.mark.parametrize("solver", [Sequential(), Picard(), Newton(), Detached()], ids=str)
def test_every_shipped_cell_passes(cell: Cell, solver: Solver) -> None:
    solver.check(cell)


@pytest.mark.parametrize("solver", [Sequential(), Picard(), Newton(), Detached(), Detached(Picard())], ids=str)
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (SlowGRU, r"SlowGRU, but its rollout gives another memory than its step .*; override unroll too"),
        (SlowParaGRU, r"SlowParaGRU, but its update gives another memory than its step .*; override update instead"),
    ],
)
def test_a_subclass_whose_step_no_rollout_would_take_is_refused(
    kind: type[Cell], sentence: str, solver: Solver
) -> None:
    with pytest.raises(ValueError, match=sentence) as e:
        solver.check(kind(4, 2, "tanh"))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("kind", [SlowLSTM, SlowUpdate])
def test_a_subclass_with_the_jacobian_of_another_step_is_refused_where_one_is_taken(kind: type[Cell]) -> None:
    cell = kind(4, 2, "tanh")
    for solver in (Newton(), Sequential("scan"), Detached(Newton())):
        with pytest.raises(ValueError, match=r"its linearize gives another memory than its step"):
            solver.check(cell)
    for solver in (Sequential("autograd"), Picard(), Detached()):
        solver.check(cell)


def test_the_lyapunov_exponent_is_refused_for_it_too() -> None:
    with pytest.raises(ValueError, match="SlowLSTM, but its linearize gives another memory"):
        largest_lyapunov_exponent(SlowLSTM(4, 2, "tanh"), torch.rand(1, 2, 4), torch.randn(1, 3, 4))


def test_a_subclass_that_gives_all_forms_of_its_step_passes_with_its_own_jacobian() -> None:
    cell = Mended(4, 1, "tanh").double()
    for solver in (Sequential("scan"), Newton(), Picard()):
        solver.check(cell)
    memory, inputs = torch.rand(1, 1, 4, dtype=torch.float64), torch.randn(1, 4, dtype=torch.float64)
    _, jacobian = cell.linearize(memory, inputs)
    expected = torch.autograd.functional.jacobian(lambda m: cell.step(m, inputs), memory)
    torch.testing.assert_close(jacobian.squeeze(), expected.squeeze(), rtol=1e-12, atol=1e-12)


def test_the_dense_jacobian_of_a_structured_cell_is_checked_by_itself() -> None:
    Newton(jacobian="full").check(SlowUpdate(4, 2, "tanh"))


class Forgetful(MLPCell):
    """Its dropout draws anew at each call."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return torch.nn.functional.dropout(super().step(memory, embedding), 0.5, self.training)


def test_dropout_is_refused_where_a_cell_is_evaluated_several_times_for_one_result() -> None:
    cell = Forgetful(4, 2, "rms")
    for solver in (Newton(), Sequential("scan"), Detached(Newton())):
        with pytest.raises(ValueError, match="Forgetful, whose step draws random numbers, as dropout does"):
            solver.check(cell)
    for solver in (Sequential(), Picard(), Detached()):
        solver.check(cell)


def test_trying_a_cell_out_draws_none_of_the_runs_random_numbers(cell: Cell) -> None:
    before = torch.get_rng_state()
    Newton().check(cell)
    assert torch.equal(torch.get_rng_state(), before)
