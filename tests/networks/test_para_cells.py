"""ParaGRU and ParaLSTM beside what `test_cells` asks of all: equations unit by unit, Jacobians, heads, streaming."""

from functools import partial

import pytest
import torch
from torch import Tensor

from memtrain.networks import RNN, Interface, NetworkOptions
from memtrain.networks.cells import ParaGRUCell, ParaLSTMCell, StructuredCell
from memtrain.networks.generation import generate_tokens

WIDTH, MEMORY_TOKENS = 4, 2
CELLS = {
    "gru": ParaGRUCell,
    "lstm": ParaLSTMCell,
    "gru, 2 heads": partial(ParaGRUCell, heads=2),
    "lstm, 2 heads": partial(ParaLSTMCell, heads=2),
}


@pytest.fixture(params=CELLS)
def para_cell(request: pytest.FixtureRequest) -> StructuredCell:
    """With recurrent weights large enough to matter, biases that are not 0, in float64."""
    cell = CELLS[request.param](WIDTH, MEMORY_TOKENS, "tanh").double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_()
    return cell


@pytest.fixture
def memories() -> Tensor:
    return torch.randn(3, 5, MEMORY_TOKENS, WIDTH, dtype=torch.float64).tanh()


@pytest.fixture
def inputs() -> Tensor:
    return torch.randn(3, 5, WIDTH, dtype=torch.float64)


def gate_inputs(cell: StructuredCell, x: Tensor, unit: int, units: int) -> list[Tensor]:
    """`B x + b` of one unit, for each gate: the unit's head of x times the unit's column."""
    maps, heads, features, columns = cell.inputs.weight.shape
    head, column = unit // columns, unit % columns
    assert (heads * columns, heads * features) == (units, WIDTH)
    mine = x[:, head * features : (head + 1) * features]
    return [mine @ cell.inputs.weight[m, head, :, column] + cell.inputs.bias[m, unit] for m in range(maps)]


@pytest.mark.parametrize("heads", [1, 2])
def test_the_para_gru_equals_the_equations_unit_by_unit(heads: int, memories: Tensor, inputs: Tensor) -> None:
    cell = ParaGRUCell(WIDTH, MEMORY_TOKENS, "tanh", heads=heads).double()
    memory, x = memories[:, 0], inputs[:, 0]
    after = cell.step(memory, x).flatten(1)
    for unit in range(8):
        h = memory.flatten(1)[:, unit]
        a_z, a_r, a_c = cell.recurrent[:, unit]
        x_z, x_r, x_c = gate_inputs(cell, x, unit, 8)
        z, r = torch.sigmoid(a_z * h + x_z), torch.sigmoid(a_r * h + x_r)
        c = torch.tanh(a_c * (h * r) + x_c)
        torch.testing.assert_close(after[:, unit], (1 - z) * h + z * c, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("heads", [1, 2])
def test_the_para_lstm_keeps_c_and_h_and_equals_the_equations(heads: int, memories: Tensor, inputs: Tensor) -> None:
    cell = ParaLSTMCell(WIDTH, MEMORY_TOKENS, "tanh", heads=heads).double()
    memory, x = memories[:, 0], inputs[:, 0]
    after = cell.step(memory, x).flatten(1)
    for unit in range(4):
        c, h = memory.flatten(1)[:, unit], memory.flatten(1)[:, 4 + unit]
        (a_f, a_g, a_o), (c_f, c_o) = cell.recurrent[:, unit], cell.peepholes[:, unit]
        x_f, x_g, x_o = gate_inputs(cell, x, unit, 4)
        f = torch.sigmoid(a_f * h + x_f + c_f * c)
        c = f * c + (1 - f) * torch.tanh(a_g * h + x_g)
        o = torch.sigmoid(a_o * h + x_o + c_o * c)
        torch.testing.assert_close(after[:, unit], c, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(after[:, 4 + unit], o * c.tanh(), rtol=1e-12, atol=1e-12)


def test_the_analytic_jacobian_is_autograds(para_cell: StructuredCell, memories: Tensor, inputs: Tensor) -> None:
    """Entry (i, j) of block u is d (number i of unit u) / d (number j of unit u), and there is nothing beside them."""
    projected = para_cell.project(inputs)
    after, jacobian = para_cell.linearize(memories, projected)
    assert torch.equal(after, para_cell.update(memories, projected))
    size, n = MEMORY_TOKENS * WIDTH, {"diagonal": 1, "blocks": 2}[para_cell.structure]
    units = size // n
    for b, t in ((0, 0), (2, 4)):
        dense = torch.autograd.functional.jacobian(
            lambda m, x=projected[b, t]: para_cell.update(m, x), memories[b, t]
        ).reshape(size, size)
        expected = torch.zeros(size, size, dtype=torch.float64)
        for unit in range(units):
            block = jacobian[b, t].flatten()[unit].view(1, 1) if n == 1 else jacobian[b, t, unit]
            for i in range(n):
                for j in range(n):
                    expected[i * units + unit, j * units + unit] = block[i, j]
        torch.testing.assert_close(dense, expected, rtol=1e-10, atol=1e-10)


def test_the_jacobian_carries_no_gradient_but_the_update_does(
    para_cell: StructuredCell, memories: Tensor, inputs: Tensor
) -> None:
    after, jacobian = para_cell.linearize(memories.requires_grad_(), para_cell.project(inputs))
    assert not jacobian.requires_grad
    assert after.requires_grad


def test_memories_stay_in_the_open_interval(para_cell: StructuredCell, inputs: Tensor) -> None:
    start = torch.rand(3, MEMORY_TOKENS, WIDTH, dtype=torch.float64) * 1.98 - 0.99
    assert (para_cell.rollout(start, 5 * inputs).abs() < 1).all()


def test_a_unit_sees_its_own_head_of_the_input_alone() -> None:
    cell = ParaGRUCell(4, 1, "tanh", heads=2).double()
    x = torch.randn(4, dtype=torch.float64, requires_grad=True)
    memory = torch.zeros(1, 4, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(cell.step(memory, x)[0, 3], x)
    assert gradient.nonzero().flatten().tolist() == [2, 3]


@pytest.mark.parametrize(("kind", "sign"), [(ParaGRUCell, -1), (ParaLSTMCell, 1)])
def test_a_new_cell_remembers_from_two_to_the_longest_number_of_steps(kind: type[StructuredCell], sign: int) -> None:
    cell = kind(8, 2, "tanh", longest_memory=50)
    keeps = torch.sigmoid(sign * cell.inputs.bias[0])
    steps = (1 / (1 - keeps)).sort().values
    torch.testing.assert_close(steps, torch.linspace(2, 50, len(steps)), rtol=1e-4, atol=0.0)
    assert not cell.inputs.bias[1:].any()


@pytest.mark.parametrize("kind", [ParaGRUCell, ParaLSTMCell])
def test_foolish_options_are_refused_in_one_sentence(kind: type[StructuredCell]) -> None:
    for match, options in {
        r"memory_normalization is rms, but the gated .* set it to tanh": {"memory_normalization": "rms"},
        r"heads is 3, but must divide 8 inputs and .* units; choose 1": {"heads": 3},
        r"longest_memory is 1, but must be at least 2; choose for example 16 steps": {"longest_memory": 1},
    }.items():
        with pytest.raises(ValueError, match=match) as e:
            kind(8, 2, **{"memory_normalization": "tanh", **options})
        assert "\n" not in str(e.value)


def test_a_para_lstm_of_odd_size_is_refused() -> None:
    with pytest.raises(ValueError, match="memory_tokens is 15, but a ParaLSTMCell needs an even number"):
        ParaLSTMCell(5, 3, "tanh")


@pytest.mark.parametrize("kind", [ParaGRUCell, ParaLSTMCell])
def test_an_rnn_of_them_streams_and_generates(kind: type[StructuredCell]) -> None:
    options = NetworkOptions(width=8, memory_tokens=2, memory_normalization="tanh", readout="linear", cell=kind)
    rnn = RNN(options, Interface.of_tokens(5))
    prompt = torch.tensor([[1, 2, 3], [4, 0, 1]])
    memories = rnn.cell.rollout(rnn.initial_memory(2), rnn.embed(prompt))
    memory = None
    for t, token in enumerate(prompt.unbind(1)):
        logits, memory = rnn.stream(token, memory)
        torch.testing.assert_close(memory, memories[:, t])
        torch.testing.assert_close(logits, rnn.read(memories[:, t]))
    assert generate_tokens(rnn, prompt, length=4, temperature=0).shape == (2, 4)
    assert options.to_primitive()["cell"]["init_args"] == {"heads": 1, "longest_memory": 16, "accept_rms": False}
