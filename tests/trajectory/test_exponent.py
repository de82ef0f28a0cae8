"""The largest Lyapunov exponent of recurrences whose exponent is known."""

import math

import pytest
import torch
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.trajectory.exponent import largest_lyapunov_exponent


class LinearCell(Cell):
    """`m_{t+1} = A m_t + x_{t+1}` with A = diag(factors)."""

    def __init__(self, *factors: float) -> None:
        super().__init__(len(factors), 1, "rms")
        self.register_buffer("factors", torch.tensor(factors, dtype=torch.float64))

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return self.factors * memory + embedding.unsqueeze(1)


class LogisticCell(Cell):
    """The logistic map 4 m (1 - m), whose exponent is ln 2."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return 4 * memory * (1 - memory)


def random_inputs(width: int, steps: int) -> tuple[Tensor, Tensor]:
    return torch.rand(6, 1, width, dtype=torch.float64), torch.randn(6, steps, width, dtype=torch.float64)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5])
def test_a_scalar_linear_recurrence_grows_by_its_factor(factor: float) -> None:
    exponent = largest_lyapunov_exponent(LinearCell(factor), *random_inputs(1, 5))
    assert exponent.item() == pytest.approx(math.log(factor), abs=1e-12)


def test_the_largest_of_several_factors_wins_once_the_direction_has_settled() -> None:
    exponent = largest_lyapunov_exponent(LinearCell(0.9, 0.3, 0.1), *random_inputs(3, 60), skipped_steps=40)
    assert exponent.item() == pytest.approx(math.log(0.9), abs=1e-9)


def test_the_logistic_map_is_chaotic_with_ln_2() -> None:
    exponent = largest_lyapunov_exponent(LogisticCell(1, 1, "rms"), *random_inputs(1, 2000), skipped_steps=100)
    assert exponent.item() == pytest.approx(math.log(2), abs=0.02)


def test_every_cell_has_an_exponent_that_finite_differences_confirm(
    cell: Cell, start: Tensor, embeddings: Tensor
) -> None:
    """A perturbation of 1e-6 along the same random direction grows as the exponent says."""
    exponent = largest_lyapunov_exponent(cell, start, embeddings, seed=5)
    direction = torch.randn(start.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    direction /= direction.flatten(1).norm(dim=1)[:, None, None]
    with torch.no_grad():
        ends = [cell.rollout(start + shift * direction, embeddings)[:, -1] for shift in (1e-6, -1e-6)]
    growth = ((ends[0] - ends[1]) / 2e-6).flatten(1).norm(dim=1).log().mean() / embeddings.shape[1]
    torch.testing.assert_close(exponent, growth, rtol=1e-4, atol=1e-5)


def test_a_cell_that_forgets_everything_has_a_very_negative_exponent() -> None:
    exponent = largest_lyapunov_exponent(LinearCell(0.0), *random_inputs(1, 3))
    assert exponent.isfinite()
    assert exponent.item() < -80


def test_skipping_all_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="skipped_steps is 3, but there are only 3 timesteps"):
        largest_lyapunov_exponent(LinearCell(0.5), *random_inputs(1, 3), skipped_steps=3)
