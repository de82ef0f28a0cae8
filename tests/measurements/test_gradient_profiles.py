"""The measurement of gradient profiles: which rows there are, and that they are those of untrained networks."""

import itertools

import pandas as pd
import pytest
import torch

from memtrain.data import Retrieval
from memtrain.measurements.gradient_profiles import distances, draw, gradient_profiles
from memtrain.metrics import teacher_gradient_profile
from memtrain.networks import Interface, NetworkOptions, Teacher
from memtrain.networks.cells import GRUCell, LSTMCell

OPTIONS = NetworkOptions(width=8, memory_tokens=2, heads=2, head_dimension=4, memory_normalization="tanh", cell=GRUCell)
NETWORKS = {"gru": OPTIONS, "lstm": NetworkOptions(**(vars(OPTIONS) | {"cell": LSTMCell}))}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Two networks of 16 numbers of memory."""
    return pd.DataFrame(gradient_profiles(NETWORKS, [6, 40], [0, 1], symbols=3, sequences=4)[0])


def test_distances_double_up_to_the_first_input() -> None:
    assert distances(4) == [0, 1, 2, 3]
    assert distances(9) == [0, 1, 2, 4, 8]
    assert distances(10) == [0, 1, 2, 4, 8, 9]


def test_there_is_a_row_for_each_length_network_seed_route_and_distance(rows: pd.DataFrame) -> None:
    expected = [
        (*key, distance)
        for key in itertools.product([6, 40], NETWORKS, [0, 1], ["rnn", "teacher"])
        for distance in distances(key[0])
    ]
    columns = ["length", "network", "seed", "route", "distance"]
    assert list(rows[columns].itertuples(index=False, name=None)) == expected


def test_a_row_holds_the_profile_of_the_network_of_that_seed(rows: pd.DataFrame) -> None:
    batch = Retrieval(40, 3, evaluation_samples=4).dataset("test").__getitems__(range(4))
    torch.manual_seed(1)
    profile = teacher_gradient_profile(Teacher(OPTIONS, Interface.of_tokens(4)), batch)
    own = rows[(rows[["length", "network", "seed", "route"]] == [40, "gru", 1, "teacher"]).all(axis=1)]
    for distance, embedding, memory in own[["distance", "embedding", "memory"]].itertuples(index=False):
        t = 39 - int(distance)
        assert [embedding, memory] == pytest.approx([profile.embedding[t].item(), profile.memory[t].item()])


def test_through_a_new_gru_the_gradient_vanishes_and_through_its_teacher_it_does_not(rows: pd.DataFrame) -> None:
    far = rows[(rows["length"] == 40) & (rows["network"] == "gru")].set_index(["route", "distance"])["embedding"]
    ratio = {route: far[route, 39].mean() / far[route, 0].mean() for route in ("rnn", "teacher")}
    assert ratio["rnn"] < 1e-4
    assert ratio["teacher"] > 0.2


def test_norms_of_zero_are_left_out_of_the_figure(rows: pd.DataFrame) -> None:
    vanished = rows.assign(embedding=rows["embedding"].where(rows["distance"] < 39, 0.0))
    lines = draw(vanished).axes[0].get_lines()
    assert {max(line.get_xdata()) for line in lines} == {32}
    assert {max(line.get_xdata()) for line in draw(rows).axes[0].get_lines()} == {39}
