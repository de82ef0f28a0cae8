"""The measurement of Newton's iterations: what its rows mean, on cells of four units."""

import itertools

import pandas as pd
import pytest
import torch

from memtrain.measurements.newton_iterations import CELLS, CellName, draw_problem, newton_iterations

SECONDS = ["newton_cpu_seconds", "sequential_cpu_seconds"]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Every cell, a contracting and a chaotic scale."""
    found, figure = newton_iterations(dict.fromkeys(CELLS, 4), [0.5, 20.0], [32, 5], [0, 1], batch=3)
    assert len(figure.axes) == 4
    return pd.DataFrame(found)


def test_there_is_a_row_for_each_cell_scale_seed_length_and_guess(rows: pd.DataFrame) -> None:
    expected = itertools.product(CELLS, [0.5, 20.0], [0, 1], [5, 32], ["cold", "warm"])
    assert list(rows[["cell", "scale", "seed", "length", "guess"]].itertuples(index=False, name=None)) == list(expected)


def test_every_solution_is_the_sequential_rollout(rows: pd.DataFrame) -> None:
    assert (rows["difference"] < 1e-3).all()
    tame = rows[rows["scale"] == 0.5]
    assert (tame["difference"] < tame["error"] + 1e-6).all()  # an upper bound, to first order and rounding


def test_cells_that_contract_are_solved_at_once_and_sooner_from_a_warm_guess(rows: pd.DataFrame) -> None:
    tame = rows[rows["scale"] == 0.5]
    assert (tame["exponent"] < 0).all()
    assert (tame[["windows", "sequential"]] == 0).all(axis=None)
    iterations = tame.groupby("guess")["iterations"].mean()
    assert 1 <= iterations["warm"] < iterations["cold"]


def test_large_recurrent_weights_raise_a_dense_cells_exponent_and_let_samples_fall_back(rows: pd.DataFrame) -> None:
    gru = rows[(rows["cell"] == "gru") & (rows["length"] == 32) & (rows["guess"] == "cold")].set_index("scale")
    assert gru.loc[20.0, "exponent"].min() > gru.loc[0.5, "exponent"].max()
    assert (gru.loc[20.0, "windows"] + gru.loc[20.0, "sequential"] > 0).all()
    assert (gru.loc[20.0, "difference"] < 1e-4).all()  # what has fallen back is the rollout too


def test_seeds_alone_decide_what_is_found() -> None:
    once, again, other = (
        pd.DataFrame(newton_iterations({"para_lstm": 4}, [1.0], [6], [seed])[0]) for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(once.drop(columns=SECONDS), again.drop(columns=SECONDS))
    assert (once["exponent"] != other["exponent"]).all()


@pytest.mark.parametrize(("name", "parameter"), [("para_gru", "recurrent"), ("para_lstm", "peepholes"), ("gru", "gru")])
def test_recurrent_weights_have_the_scale_and_the_nearby_cell_is_a_step_away(name: CellName, parameter: str) -> None:
    problem = draw_problem(name, 64, 3.0, length=2, seed=0, batch=1, step=1e-3)
    weights = problem.cell.gru.weight_hh_l0 if parameter == "gru" else getattr(problem.cell, parameter)
    expected = 3.0 / 8 if parameter == "gru" else 3.0  # 8 is the square root of the 64 units that add up
    assert weights.std().item() == pytest.approx(expected, rel=0.25)
    for ours, theirs in zip(problem.cell.parameters(), problem.nearby.parameters(), strict=True):
        torch.testing.assert_close((ours - theirs).abs(), torch.full_like(ours, 1e-3), rtol=1e-2, atol=1e-6)
