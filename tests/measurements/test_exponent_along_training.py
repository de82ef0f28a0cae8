"""The measurement of exponents along training: readings, and what is handed from stage to stage."""

import math

import pandas as pd
import pytest
import torch

from memtrain.batch import SequenceBatch
from memtrain.measurements.exponent_along_training import exponent_along_training, read
from memtrain.networks import RNN, Interface, NetworkOptions
from memtrain.networks.cells import ParaGRUCell

READ = ["accuracy", "exponent", "iterations", "windows", "sequential", "error"]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Four steps a method, read every two steps."""
    found, figure = exponent_along_training(
        {"smt_dmt": ["smt", "dmt"], "bptt": ["bptt"]},
        steps=4, length=8, seeds=[0, 1], width=8, memory_tokens=1, batch_size=2, readings=2,
    )  # fmt: skip
    assert len(figure.axes) == 3
    return pd.DataFrame(found)


def test_each_stage_is_read_before_its_first_step_and_then_regularly(rows: pd.DataFrame) -> None:
    for seed in (0, 1):
        own = rows[rows["seed"] == seed]
        assert list(own[["method", "stage", "step"]].itertuples(index=False, name=None)) == [
            ("smt_dmt", "smt", 0), ("smt_dmt", "smt", 2), ("smt_dmt", "dmt", 2), ("smt_dmt", "dmt", 4),
            ("bptt", "bptt", 0), ("bptt", "bptt", 2), ("bptt", "bptt", 4),
        ]  # fmt: skip


def test_a_stage_begins_with_the_network_that_the_one_before_has_left(rows: pd.DataFrame) -> None:
    handed = rows[(rows["method"] == "smt_dmt") & (rows["step"] == 2)]
    left, taken = (handed.loc[handed["stage"] == stage, READ].reset_index(drop=True) for stage in ("smt", "dmt"))
    pd.testing.assert_frame_equal(left, taken)


def test_training_changes_the_exponent(rows: pd.DataFrame) -> None:
    for _, own in rows.groupby(["method", "stage", "seed"]):
        assert own["exponent"].nunique() == len(own)


def test_a_linear_cell_that_forgets_half_of_its_memory_has_an_exponent_of_minus_ln_2() -> None:
    """With a = 0 and z = sigmoid(0), h' = (h + c) / 2, and c depends on the input alone: one iteration."""
    rnn = RNN(
        NetworkOptions(width=4, memory_tokens=1, memory_normalization="tanh", cell=ParaGRUCell), Interface.of_tokens(5)
    )
    with torch.no_grad():
        rnn.cell.recurrent.zero_()
        rnn.cell.inputs.weight[0].zero_()
        rnn.cell.inputs.bias[0].zero_()
    inputs = torch.randint(0, 5, (6, 20))
    found = read(rnn, SequenceBatch.of(inputs, inputs, torch.arange(6)))
    assert found["exponent"] == pytest.approx(-math.log(2), abs=1e-6)
    assert found["iterations"] == 1
    assert found["windows"] == found["sequential"] == 0
