"""The exported step: without complex numbers, of any batch, and the same as torch's over a thousand steps."""

import importlib.util
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from memtrain.export import FORMATS, ExportStep, example_inputs
from memtrain.export.folder import ExportedModel
from memtrain.export.step import ports
from memtrain.networks import RNN, Categorical, Channel, Channels, Interface, NetworkOptions
from memtrain.networks.cells import Cell
from memtrain.networks.rotary import RealRotary, Rotary, rotate
from tests.conftest import CELLS, UserCell
from tests.export.conftest import readme_cell

VOCABULARY, STEPS = 7, 1000
INTERFACE = Interface.of_tokens(VOCABULARY)
EXPORTED = CELLS | {"README's": partial(readme_cell(), memory_normalization="rms", hidden=16)}
needs_onnx = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed: pip install 'memtrain[onnx]'"
)


class BranchingCell(UserCell):
    """Its step depends on a number that it reads off a tensor."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return super().step(memory, embedding if embedding.sum() > 0 else -embedding)


def rnn_of(name: str, **options: object) -> RNN:
    """An RNN whose cell forgets: of a chaotic one no two computations in float32 stay together for long."""
    kind: Callable[..., Cell] = EXPORTED[name].func
    rest = {key: value for key, value in EXPORTED[name].keywords.items() if key != "memory_normalization"}
    network = NetworkOptions(
        width=8,
        memory_tokens=5,
        heads=2,
        head_dimension=4,
        memory_normalization=EXPORTED[name].keywords["memory_normalization"],
        cell=partial(kind, **rest),
        **options,
    )
    rnn = RNN(network, INTERFACE).eval().requires_grad_(False)
    for parameter in rnn.cell.parameters():
        if parameter.dim() > 1:
            parameter.mul_(0.5)
    return rnn


def largest_difference(rnn: RNN, step: Callable[..., tuple[Tensor, Tensor]], batch: int, steps: int = STEPS) -> float:
    """Of parameters and memories, each side streaming on its own memory."""
    own = expected = rnn.initial_memory(batch).contiguous()
    largest = 0.0
    for inputs in torch.randint(VOCABULARY, (steps, batch)):
        wanted, expected = rnn.stream(inputs, expected)
        found, own = step(inputs=inputs, memory=own)
        largest = max(largest, (found - wanted).abs().max().item(), (own - expected).abs().max().item())
    return largest


def test_a_real_rotation_turns_a_pair_by_its_angle() -> None:
    """One pair of features at position 2 with frequency 1: (1, 0) becomes (cos 2, sin 2)."""
    turned = rotate(torch.tensor([[[1.0, 0.0]]]), RealRotary(Rotary(2, 2))(torch.tensor([2])))
    torch.testing.assert_close(turned, torch.tensor([[[math.cos(2), math.sin(2)]]]))


@pytest.mark.parametrize("rotated", [0, 4, 16])
def test_real_rotations_are_the_complex_ones(rotated: int) -> None:
    rotary, positions, heads = Rotary(16, rotated), torch.arange(200), torch.randn(3, 200, 2, 16)
    real = rotate(heads, RealRotary(rotary)(positions))
    torch.testing.assert_close(real, rotate(heads, rotary(positions)), rtol=0, atol=1e-6)


def test_exporting_leaves_the_rnn_as_it_was() -> None:
    rnn = rnn_of("transformer, rms").requires_grad_(True)
    before = {name: id(module) for name, module in rnn.named_modules()}
    step = ExportStep(rnn)
    assert {name: id(module) for name, module in rnn.named_modules()} == before
    assert all(p.requires_grad for p in rnn.parameters())
    assert not any(isinstance(module, Rotary) for module in step.modules())


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTED)
def test_a_torch_program_of_each_cell_is_the_rnn_over_a_thousand_steps(name: str) -> None:
    rnn = rnn_of(name)
    program = ExportStep(rnn).program(example_inputs(INTERFACE.inputs, 2, torch.Generator())).module()
    for batch in (1, 3):
        assert largest_difference(rnn, program, batch) < 1e-5


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTED)
def test_an_onnx_graph_of_each_cell_is_the_rnn_over_a_thousand_steps(name: str, tmp_path: Path) -> None:
    rnn = rnn_of(name)
    onnx = onnx_model(rnn, tmp_path)
    for batch in (1, 3):
        assert largest_difference(rnn, lambda inputs, memory: onnx.step({"inputs": inputs}, memory), batch) < 1e-5


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"readout": "linear"}, {"memory_attention": "full"}, {"initial_memory": "zeros"}], ids=str
)
def test_every_readout_and_initial_memory_is_exported(options: dict, tmp_path: Path) -> None:
    rnn = rnn_of("transformer, rms", **options)
    onnx = onnx_model(rnn, tmp_path)
    assert largest_difference(rnn, lambda inputs, memory: onnx.step({"inputs": inputs}, memory), 3, 50) < 1e-5
    torch.testing.assert_close(onnx.start, rnn.initial_memory(1), rtol=0, atol=0)


def onnx_model(rnn: RNN, folder: Path) -> ExportedModel:
    step, onnx = ExportStep(rnn), FORMATS["onnx"]
    onnx.write(step, example_inputs(INTERFACE.inputs, 2, torch.Generator()), folder)
    return ExportedModel(onnx.run(folder, {}, 1), step.initial_memory(1), INTERFACE)


def test_what_is_known_ahead_is_a_third_input() -> None:
    interface = Interface(Channels([Channel("load"), Channel("hour", role="known")]), Categorical(3))
    rnn = RNN(NetworkOptions(width=8, memory_tokens=2), interface).eval().requires_grad_(False)
    foresight = rnn.head.foresight
    assert foresight is not None
    for parameter in foresight.parameters():
        parameter.normal_()  # at the start it adds nothing
    inputs = {"inputs": torch.randn(2, 4), "ahead": torch.randn(2, interface.inputs.known_ahead)}
    step = ExportStep(rnn)
    program = step.program(inputs).module()
    assert [port["name"] for port in ports(step, inputs)["inputs"]] == ["inputs", "ahead", "memory"]
    memory = rnn.initial_memory(2).contiguous()
    expected = rnn.stream(inputs["inputs"], memory, inputs["ahead"])
    torch.testing.assert_close(program(**inputs, memory=memory), expected, rtol=0, atol=1e-5)
    other = program(**inputs | {"ahead": -inputs["ahead"]}, memory=memory)
    assert not torch.allclose(other[0], expected[0])
    assert torch.equal(other[1], program(**inputs, memory=memory)[1])


def test_a_cell_that_no_graph_can_hold_is_named_with_what_torch_says() -> None:
    network = NetworkOptions(width=8, memory_tokens=2, cell=BranchingCell)
    step = ExportStep(RNN(network, INTERFACE))
    with pytest.raises(ValueError, match=r"^network.cell is BranchingCell, whose step cannot be exported: torch says"):
        step.program(example_inputs(INTERFACE.inputs, 2, torch.Generator()))
