"""Channels: packing and scaling by hand, what the encoder sees, and that no prediction sees the row it predicts."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from memtrain.batch import SequenceBatch
from memtrain.checkpoints import rebuilt
from memtrain.networks import (
    RNN,
    Categorical,
    CausalTransformer,
    Channel,
    Channels,
    Interface,
    LinearRecurrence,
    NetworkOptions,
    OutputDescription,
    OutputHead,
    Teacher,
    Tokens,
)
from memtrain.objectives import futures

NAN = float("nan")
TEMPERATURE = Channel("temperature", center=10.0, scale=2.0, unit="C")
HOUR = Channel("hour", role="known", center=12.0, scale=12.0)
VALVE = Channel("valve", role="action", categories=3)
CHANNELS = Channels([TEMPERATURE, HOUR, VALVE])
SMALL = NetworkOptions(width=8, memory_tokens=2, heads=1, head_dimension=8)


class MeanHead(OutputHead, nn.Linear):
    """A head of one number, for tests: squared error."""

    score, higher_is_better = "loss", False

    def parameters_of(self, features: Tensor) -> Tensor:
        return F.linear(features, self.weight, self.bias)

    def loss(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        return (parameters - targets).square() * mask

    def metrics(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {}

    def sample(self, parameters: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        return parameters


@dataclass(frozen=True)
class Mean(OutputDescription):
    """One number."""

    metrics: ClassVar[tuple[str, ...]] = ()

    def head(self, features: int) -> MeanHead:
        return MeanHead(features, 1)


def test_rows_are_packed_as_scaled_values_and_then_flags() -> None:
    """14 degrees are 2 scales above the center; the hour is missing; valve 2 keeps its code."""
    packed = CHANNELS.pack(np.array([14.0, NAN, 2.0]))
    assert packed.dtype == np.float32
    assert packed.tolist() == [2.0, 0.0, 2.0, 1.0, 0.0, 1.0]


def test_what_is_known_ahead_leaves_out_what_is_observed() -> None:
    """The hour as value and flag, the valve as one flag for each category."""
    assert CHANNELS.known_ahead == 5
    assert CHANNELS.pack_ahead(np.array([[14.0, 18.0, 2.0], [NAN, NAN, NAN]])).tolist() == [
        [0.5, 1.0, 0.0, 0.0, 1.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
    ]


def test_inputs_of_which_nothing_is_known_ahead_have_no_foresight() -> None:
    assert Channels([TEMPERATURE]).known_ahead == 0
    assert Interface(Channels([TEMPERATURE]), Mean()).head(4).foresight is None
    assert Interface(CHANNELS, Mean()).head(4).foresight is not None


@given(
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e6),
    st.booleans(),
)
def test_scaling_is_undone(value: float, center: float, scale: float, asinh: bool) -> None:
    channel = Channel("x", center=center, scale=scale, asinh=asinh)
    again = channel.unscaled(channel.scaled(np.array(value)))
    assert again == pytest.approx(value, rel=1e-9, abs=1e-9 * (abs(center) + scale))


def test_a_channel_that_cannot_be_scaled_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Channel flat has center 1\.0 and scale 0\.0"):
        Channel("flat", center=1.0, scale=0.0)
    with pytest.raises(ValueError, match="Channel empty has center nan"):
        Channel("empty", center=NAN)
    with pytest.raises(ValueError, match="different names"):
        Channels([TEMPERATURE, TEMPERATURE])
    with pytest.raises(ValueError, match="role of channel x is 'input'"):
        Channel("x", role="input")  # type: ignore[arg-type]


def test_a_missing_number_is_not_a_number_at_the_center() -> None:
    encoder = CHANNELS.encoder(8)
    rows = torch.from_numpy(CHANNELS.pack(np.array([[10.0, 12.0, 1.0], [NAN, 12.0, 1.0], [10.0, 12.0, NAN]])))
    center, no_temperature, no_valve = encoder(rows)
    assert not torch.allclose(center, no_temperature)
    assert not torch.allclose(center, no_valve)


def test_an_enormous_number_stays_bounded_inside_a_network() -> None:
    encoder = CHANNELS.encoder(8)
    rows = torch.from_numpy(CHANNELS.pack(np.array([[1e10, 12.0, 1.0]])))
    assert encoder(rows).abs().max() < 20


def test_a_checkpoint_keeps_channels_with_their_scales() -> None:
    interface = Interface(CHANNELS, Categorical(3))
    assert rebuilt(Interface, interface.to_primitive()) == interface
    other = Interface(Channels([TEMPERATURE, HOUR, Channel("valve", "action", 4)]), Categorical(3))
    assert other != interface


def rows_of(values: np.ndarray) -> SequenceBatch:
    """Forecasts of the temperature `[B, T + 1, 3]`: inputs, next temperature, what is known of the next row."""
    inputs, ahead = CHANNELS.pack(values[:, :-1]), CHANNELS.pack_ahead(values[:, 1:])
    targets = CHANNELS.pack(values[:, 1:])[..., :1]
    tensors = (torch.from_numpy(a) for a in (inputs, targets, np.ones(targets.shape, dtype=bool)))
    return SequenceBatch(*tensors, torch.arange(len(values)), torch.from_numpy(ahead))


def predictions(values: np.ndarray) -> dict[str, Tensor]:
    """What every model predicts of rows, each timestep's from the past: `[B, T, 1]` each."""
    batch, interface = rows_of(values), Interface(CHANNELS, Mean())
    every = torch.arange(batch.inputs.shape[1])
    found = {}
    for name, make in {
        "teacher": lambda: Teacher(SMALL, interface),
        "rnn": lambda: RNN(SMALL, interface),
        "linear readout": lambda: RNN(NetworkOptions(width=8, memory_tokens=2, readout="linear"), interface),
        "transformer": lambda: CausalTransformer(interface, width=8, layers=1, heads=1, head_dimension=8),
        "linear recurrence": lambda: LinearRecurrence(interface, width=8, layers=1),
    }.items():
        torch.manual_seed(0)
        model = make().eval()
        found[name] = model.outputs(batch.inputs, every, batch.ahead)
        if name == "teacher":
            memories = model.encode(batch.inputs, every[:2])
            future = futures(batch, every[:2], None)
            found["decoder"] = model.decode(memories, future.inputs, future.wanted, future.ahead)[:, 0]
        else:
            stream, state, streamed = model.prepared(), None, []
            for t in range(len(every)):
                parameters, state = stream(batch.inputs[:, t], state, batch.ahead[:, t])
                streamed.append(parameters)
            torch.testing.assert_close(torch.stack(streamed, dim=1), found[name], rtol=1e-4, atol=1e-5)
    return found


ROWS = np.random.default_rng(0).normal(size=(2, 7, 3)) * [5, 5, 0] + [10, 12, 0]
ROWS[:, :, 2] = np.random.default_rng(1).integers(0, 3, (2, 7))


@torch.no_grad()
@pytest.mark.parametrize(("channel", "seen_ahead"), [(0, False), (1, True), (2, True)])
def test_a_prediction_sees_of_the_next_row_what_is_known_ahead_and_nothing_else(channel: int, seen_ahead: bool) -> None:
    """Row 4 is changed in one channel alone: what is predicted of it, y_3, changes for covariates and actions only."""
    changed = ROWS.copy()
    changed[:, 4, channel] = (changed[:, 4, channel] + 1) % 3 if channel == 2 else changed[:, 4, channel] + 3
    for name, before in predictions(ROWS).items():
        after = predictions(changed)[name]
        different = (before - after).abs().amax((0, 2)) > 1e-6
        assert not different[:3].any(), name
        assert bool(different[3]) == seen_ahead, name
        assert different[4], name


def test_a_world_that_is_not_observed_leaves_actions_and_covariates() -> None:
    packed = torch.from_numpy(CHANNELS.pack(np.array([14.0, 18.0, 2.0])))
    assert CHANNELS.unobserved(packed).tolist() == [0.0, 0.5, 2.0, 0.0, 1.0, 1.0]
    with pytest.raises(ValueError, match=r"model.windows.observed is given, but the inputs are 5 tokens"):
        Tokens(5).unobserved(torch.zeros(2, 3, dtype=torch.long))


@torch.no_grad()
def test_a_readout_weighs_what_is_known_ahead_by_the_memory() -> None:
    """`g(m, u)` is no sum of a function of m and one of u: what an action does depends on the state."""
    rnn = RNN(SMALL, Interface(CHANNELS, Mean())).double()
    torch.manual_seed(0)
    memory = rnn.cell.memory.normalize(torch.randn(2, 2, 8, dtype=torch.float64))
    ahead = torch.eye(5, dtype=torch.float64)[:2]
    (a, b), (c, d) = (rnn.read(m.expand(2, -1, -1), ahead)[:, 0] for m in memory)
    assert abs((a - b) - (c - d)) > 1e-4
