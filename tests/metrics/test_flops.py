"""Sequential FLOPs by hand, at sizes small enough to count every parameter."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from memtrain.metrics import (
    model_depth,
    rollout_depth,
    rollout_flops,
    smt_depth,
    smt_flops,
    teacher_depth,
    teacher_flops,
)
from memtrain.networks import RNN, CausalTransformer, Interface, LinearRecurrence, NetworkOptions, Teacher
from memtrain.networks.cells import Cell, GRUCell, LSTMCell, MLPCell, ParaGRUCell, ParaLSTMCell, TransformerCell
from memtrain.networks.flops import forward_flops, input_depth, update_depth
from memtrain.scan import scan_levels
from memtrain.trajectory import Detached, Newton, Picard, Sequential, Solver

# D = 4, 2 heads of 2: inner width 4. A block has 2 norms (2 * 4), queries, keys and values (3 * 4 * 4), their
# way out (4 * 4), a feed-forward 4 -> 16 -> 4 with biases (4 * 16 + 16 + 16 * 4 + 4): 220 parameters.
BLOCK = 220
SEVEN = Interface.of_tokens(7)
# K = 2, T = 10. One block costs q(S) = 2 * 220 + 4 * S * 4 = 440 + 16 S.
ENCODER = 3 * (440 + 16 * (10 + 2))  # three blocks over ten tokens and two registers: 1896
DECODER = 1 * (440 + 16 * (2 + 10))  # one block over two memory tokens and ten of the future: 632
DECODER_OF_4 = 1 * (440 + 16 * (2 + 4))  # with future_length 4: 536
READOUT = 1 * (440 + 16 * 2)  # two memory tokens alone: 472
CELL = 2 * (440 + 16 * (2 + 1))  # two blocks over two memory tokens and the input: 976

OPTIONS = NetworkOptions(
    width=4,
    memory_tokens=2,
    heads=2,
    head_dimension=2,
    encoder_layers=3,
    cell=partial(TransformerCell, layers=2, heads=2, head_dimension=2),
)


@pytest.fixture
def teacher() -> Teacher:
    return Teacher(OPTIONS, SEVEN)


@pytest.fixture
def rnn() -> RNN:
    return RNN(OPTIONS, SEVEN)


def test_the_block_of_the_worked_example_has_220_parameters(teacher: Teacher) -> None:
    assert sum(p.numel() for p in teacher.decoder.transformer.blocks[0].parameters()) == BLOCK


def test_teacher_by_hand(teacher: Teacher) -> None:
    assert teacher_flops(teacher, 10) == 3 * (1896 + 632) == 7584
    assert teacher_flops(teacher, 10, future_length=4) == 3 * (ENCODER + DECODER_OF_4)
    assert teacher_flops(teacher, 10, future_length=99) == 3 * (ENCODER + DECODER)


def test_smt_by_hand(teacher: Teacher, rnn: RNN) -> None:
    """The cell (976) is a longer branch than the decoder (632)."""
    assert smt_flops(teacher, rnn, 10) == 3 * (1896 + 976) == 8616
    assert smt_flops(teacher, rnn, 10, frozen_teacher=True) == 1896 + 3 * 976


def rolled(teacher: Teacher | None, rnn: RNN, solver: Solver, guess: Tensor | None = None) -> int:
    """Sequential FLOPs of a step whose rollout goes over ten inputs, as the solver itself counts them."""
    memory, inputs = rnn.initial_memory(1), rnn.embed(torch.zeros(1, 10, dtype=torch.int64))
    return rollout_flops(teacher, rnn, 10, solver.solve(rnn.cell, memory, inputs, torch.arange(10), guess))


def test_bptt_by_hand(rnn: RNN) -> None:
    assert rolled(None, rnn, Sequential()) == 3 * (10 * 976 + 472) == 30696


def test_the_ways_back_through_truncated_parts_are_independent(rnn: RNN) -> None:
    assert rolled(None, rnn, Sequential(truncation=4)) == 10 * 976 + 2 * 4 * 976 + 3 * 472
    long = (rolled(None, rnn, Sequential(truncation=truncation)) for truncation in (10, 99, None))
    assert len(set(long)) == 1


def test_dmt_by_hand(teacher: Teacher, rnn: RNN) -> None:
    assert rolled(teacher, rnn, Detached()) == 1896 + 10 * 976 + 3 * (976 + 472) == 16000
    assert rolled(teacher, rnn, Sequential()) == 1896 + 3 * (10 * 976 + 472)
    four_sweeps_of_picard = rolled(teacher, rnn, Detached(Picard(4)), torch.zeros(1, 10, 2, 4))
    assert four_sweeps_of_picard == 1896 + 4 * 976 + 3 * (976 + 472)


def test_a_context_length_shortens_the_encoders_attention() -> None:
    options = NetworkOptions(width=4, memory_tokens=2, heads=2, head_dimension=2, context_length=5)
    assert teacher_flops(Teacher(options, SEVEN), 10) == 3 * (2 * (440 + 16 * (5 + 2)) + DECODER)


def test_a_gated_cell_and_a_linear_readout_cost_two_flops_a_parameter() -> None:
    """GRU: three gates of 8 from 4 inputs with a bias, 120, which are projected once, and from 8 states with one, 216.

    Readout: 8 * 7 + 7 = 63 parameters.
    """
    options = NetworkOptions(width=4, memory_tokens=2, cell=GRUCell, memory_normalization="tanh", readout="linear")
    rnn = RNN(options, SEVEN)
    assert rolled(None, rnn, Sequential()) == 3 * (2 * 120 + 10 * 2 * 216 + 2 * 63)
    assert rolled(None, rnn, Detached()) == 10 * 2 * 216 + 3 * (2 * 120 + 2 * 216 + 2 * 63)
    teacher = Teacher(options, SEVEN)
    assert smt_flops(teacher, rnn, 10, frozen_teacher=True) == teacher.encoder.sequential_flops(10) + 3 * 2 * (
        120 + 216
    )


@pytest.mark.parametrize("kind", [GRUCell, LSTMCell, ParaGRUCell, ParaLSTMCell])
def test_input_parameters_meet_the_input_alone(kind: type[Cell]) -> None:
    cell, memory = kind(8, 2, "tanh"), torch.rand(1, 2, 8)
    found = {id(parameter) for parameter in cell.input_parameters()}
    matrices = [parameter for name, parameter in cell.named_parameters() if "weight" in name and id(parameter) in found]
    assert len(found) == 2 * len(matrices) > 0  # the others are their biases
    for embedding, same in ((torch.zeros(1, 8), True), (torch.ones(1, 8), False)):
        with torch.no_grad():
            before = cell.step(memory, embedding)
            for parameter in matrices:
                parameter.mul_(2)
            assert torch.equal(cell.step(memory, embedding), before) == same


def test_any_other_cell_costs_two_flops_a_parameter() -> None:
    cell = MLPCell(4, 2, "rms")
    assert forward_flops(cell, 3) == 2 * sum(p.numel() for p in cell.parameters())


def test_a_module_around_a_transformer_adds_its_own_parameters(teacher: Teacher) -> None:
    both = nn.ModuleList([teacher.decoder.transformer, nn.Linear(3, 5)])
    assert forward_flops(both, 2) == READOUT + 2 * (3 * 5 + 5)


# A block is norm, product, attention, product, norm, product, nonlinearity, product: 8. The encoder has three, a norm
# and the memories' normalization: 26. The decoder has one, a norm and the head: 10. The cell has two, a norm and the
# memory's normalization: 18.
def depth(teacher: Teacher | None, rnn: RNN, solver: Solver, guess: Tensor | None = None) -> int:
    """Dependent operations of a step whose rollout goes over ten inputs."""
    memory, inputs = rnn.initial_memory(1), rnn.embed(torch.zeros(1, 10, dtype=torch.int64))
    return rollout_depth(teacher, rnn, solver.solve(rnn.cell, memory, inputs, torch.arange(10), guess))


def test_depth_by_hand(teacher: Teacher, rnn: RNN) -> None:
    assert teacher_depth(teacher) == 2 * (26 + 10)
    assert smt_depth(teacher, rnn) == 2 * (26 + 18)
    assert smt_depth(teacher, rnn, frozen_teacher=True) == 26 + 2 * 18
    assert depth(None, rnn, Sequential()) == 2 * (10 * 18 + 10)
    assert depth(teacher, rnn, Detached()) == 26 + 10 * 18 + 2 * (18 + 10)
    assert depth(teacher, rnn, Detached(Picard(4)), torch.zeros(1, 10, 2, 4)) == 26 + 4 * 18 + 2 * (18 + 10)


def test_depth_does_not_grow_with_the_length_but_for_rollouts(teacher: Teacher, rnn: RNN) -> None:
    memory = rnn.initial_memory(1)
    depths = []
    for length in (10, 20):
        inputs = rnn.embed(torch.zeros(1, length, dtype=torch.int64))
        found = Sequential().solve(rnn.cell, memory, inputs, torch.arange(length))
        depths.append(rollout_depth(None, rnn, found))
    assert depths[1] - depths[0] == 2 * 10 * 18


@pytest.mark.parametrize(("kind", "expected"), [(GRUCell, 3), (LSTMCell, 3), (ParaGRUCell, 2), (ParaLSTMCell, 2)])
def test_gated_cells_name_the_depth_of_their_update(kind: type[Cell], expected: int) -> None:
    cell = kind(4, 2, "tanh")
    assert (update_depth(cell), input_depth(cell)) == (expected, 1)


def test_any_other_cell_is_as_deep_as_its_modules() -> None:
    """Three products, two nonlinearities, and the normalization."""
    assert update_depth(MLPCell(4, 2, "rms", layers=2)) == 6


def test_a_scan_over_ten_steps_has_four_levels() -> None:
    """ParaGRU by a scan: ten steps forward and one with gradient, one back, and the scan; a linear readout."""
    options = NetworkOptions(width=4, memory_tokens=2, cell=ParaGRUCell, memory_normalization="tanh", readout="linear")
    assert depth(None, RNN(options, SEVEN), Sequential("scan")) == (11 + 1) * 2 + 4 + 2 * (1 + 1)
    assert [scan_levels(length) for length in (1, 2, 3, 8, 9, 1024)] == [1, 1, 2, 3, 4, 10]
    newton = Newton(guess="zeros", tolerance=1e-4)
    memory, inputs = torch.zeros(1, 2, 4), torch.randn(1, 10, 4)
    found = newton.solve(ParaGRUCell(4, 2, "tanh"), memory, inputs, torch.arange(10))
    assert found.scan_levels == 4 * (int(found.iterations.max()) + 1)


def test_baselines_know_their_depth() -> None:
    """Two blocks of 8 and a scan over 16 steps each, the norm and the head; a Transformer's 2 * 8 + 2."""
    assert model_depth(LinearRecurrence(SEVEN, layers=2), 16) == 2 * (2 * (8 + 4) + 2)
    assert model_depth(CausalTransformer(SEVEN, layers=2), 16) == 2 * (2 * 8 + 2)
