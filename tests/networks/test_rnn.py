"""The RNN alone: streaming, readouts, starts."""

from functools import partial
from typing import Any

import pytest
import torch

from memtrain.networks import RNN, Interface, NetworkOptions
from memtrain.networks.cells import GRUCell, LSTMCell, MLPCell, TransformerCell
from memtrain.networks.rollout import rollout

CELLS: dict[str, dict[str, Any]] = {
    "transformer": {"cell": partial(TransformerCell, heads=2, head_dimension=4)},
    "mlp": {"cell": MLPCell},
    "gru": {"cell": GRUCell, "memory_normalization": "tanh", "readout": "linear"},
    "lstm": {"cell": LSTMCell, "memory_normalization": "tanh"},
}


def make_rnn(**options: Any) -> RNN:
    return RNN(
        NetworkOptions(width=8, memory_tokens=2, heads=2, head_dimension=4, **options), Interface.of_tokens(5)
    ).double()


@pytest.mark.parametrize("options", CELLS.values(), ids=CELLS)
def test_streaming_token_by_token_equals_the_rollout(options: dict[str, Any]) -> None:
    rnn = make_rnn(**options)
    inputs = torch.randint(5, (3, 6))
    states = rollout(rnn.cell, rnn.initial_memory(3), rnn.embed(inputs))
    memory = None
    for t in range(6):
        logits, memory = rnn.stream(inputs[:, t], memory)
        torch.testing.assert_close(memory, states[:, t])
        torch.testing.assert_close(logits, rnn.read(states[:, t]))


@pytest.mark.parametrize("options", CELLS.values(), ids=CELLS)
def test_gradients_reach_every_parameter_of_the_rnn(options: dict[str, Any]) -> None:
    rnn = make_rnn(**options)
    states = rollout(rnn.cell, rnn.initial_memory(3), rnn.embed(torch.randint(5, (3, 6))))
    logits = rnn.read(states)
    (logits * torch.randn_like(logits)).sum().backward()
    for name, parameter in rnn.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.norm() > 0, name


def test_leading_sizes_are_one_batch_for_a_step() -> None:
    rnn = make_rnn()
    memory, embedding = torch.randn(3, 4, 2, 8).double(), torch.randn(3, 4, 8).double()
    after = rnn.step(memory, embedding)
    assert after.shape == memory.shape
    torch.testing.assert_close(after[2, 1], rnn.step(memory[2, 1:2], embedding[2, 1:2])[0])


def test_the_linear_readout_sees_the_whole_memory() -> None:
    rnn = make_rnn(readout="linear")
    memory = torch.randn(3, 2, 8).double()
    layer = rnn.head
    torch.testing.assert_close(rnn.read(memory), memory.view(3, 16) @ layer.weight.T + layer.bias)


def test_zeros_as_initial_memory_leave_nothing_to_learn_there() -> None:
    names = [name for name, _ in make_rnn(initial_memory="zeros").named_parameters()]
    assert not any(name.startswith("start") for name in names)


def test_gated_cells_refuse_rms_memories_through_the_options() -> None:
    with pytest.raises(ValueError, match="set it to tanh"):
        make_rnn(cell=GRUCell)
