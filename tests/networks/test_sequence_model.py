"""What every streaming model must do, over the table of baselines."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memtrain.networks import CausalTransformer, Interface, LinearAutoregression, LinearRecurrence, StreamingModel
from memtrain.networks.generation import generate_tokens

VOCABULARY = 5
ODD_LENGTHS = [1, 3, 7, 17]


def make(name: str, vocabulary_size: int = VOCABULARY) -> nn.Module:
    """A model of the table, with two blocks of width 16."""
    interface = Interface.of_tokens(vocabulary_size)
    if name == "causal transformer":
        return CausalTransformer(interface, 16, layers=2, heads=2, head_dimension=8)
    if name == "linear autoregression":
        return LinearAutoregression(interface, lags=8)
    return LinearRecurrence(interface, 16, layers=2, expansion=2)


@pytest.fixture(params=["causal transformer", "linear recurrence", "linear autoregression"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(name: str) -> nn.Module:
    return make(name).double()


def drawn(batch: int, length: int, vocabulary_size: int = VOCABULARY) -> Tensor:
    return torch.randint(vocabulary_size, (batch, length))


def everywhere(inputs: Tensor) -> Tensor:
    return torch.arange(inputs.shape[1])


def streamed(model: StreamingModel, inputs: Tensor) -> Tensor:
    """Outputs at all timesteps, one token after the other."""
    stream, state, rows = model.prepared(), None, []
    for token in inputs.unbind(1):
        row, state = stream(token, state)
        rows.append(row)
    return torch.stack(rows, dim=1)


def test_each_model_follows_the_protocol(model: nn.Module) -> None:
    assert isinstance(model, StreamingModel)
    assert not isinstance(nn.Linear(1, 1), StreamingModel)


@pytest.mark.parametrize("length", ODD_LENGTHS)
def test_the_stream_equals_the_batch_in_values_and_all_gradients(model: nn.Module, length: int) -> None:
    inputs = drawn(3, length)
    batch, stream = model.outputs(inputs, everywhere(inputs)), streamed(model, inputs)
    torch.testing.assert_close(stream, batch, rtol=1e-12, atol=1e-12)
    direction, parameters = torch.randn_like(batch), list(model.parameters())
    of_batch, of_stream = (torch.autograd.grad((y * direction).sum(), parameters) for y in (batch, stream))
    for ours, theirs in zip(of_stream, of_batch, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_outputs_do_not_change_when_later_inputs_do(model: nn.Module) -> None:
    inputs = drawn(2, 9)
    changed = inputs.clone()
    changed[:, 6] = (changed[:, 6] + 1) % VOCABULARY
    before, after = (model.outputs(x, everywhere(inputs)) for x in (inputs, changed))
    assert torch.equal(before[:, :6], after[:, :6])
    moved = (before - after).abs().amax(-1)
    assert (moved[:, 6:] > 1e-6).all()  # so that this test could fail: it does see the change, and later ones too


@pytest.mark.parametrize("timesteps", [[8], [5, 0], [3, 3], [8, 7, 6, 5, 4, 3, 2, 1, 0], [0] * 12])
def test_any_timesteps_in_any_order_are_rows_of_all_outputs(model: nn.Module, timesteps: list[int]) -> None:
    inputs = drawn(2, 9)
    wanted = model.outputs(inputs, torch.tensor(timesteps))
    torch.testing.assert_close(wanted, model.outputs(inputs, everywhere(inputs))[:, timesteps], rtol=1e-12, atol=1e-12)


def test_the_past_matters_and_the_output_has_a_row_for_each_sample(model: nn.Module) -> None:
    """Samples that differ in the first token only still differ at the last timestep."""
    inputs = drawn(1, 7).repeat(VOCABULARY, 1)
    inputs[:, 0] = torch.arange(VOCABULARY)
    outputs = model.outputs(inputs, torch.tensor([6]))
    assert outputs.shape == (VOCABULARY, 1, VOCABULARY)
    assert torch.pdist(outputs[:, 0]).min() > 1e-6


def test_every_parameter_gets_a_finite_gradient_under_bf16_autocast(name: str) -> None:
    model, inputs = make(name), drawn(2, 7)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model.outputs(inputs, everywhere(inputs))
        F.cross_entropy(outputs.flatten(0, 1), inputs.flatten()).backward()
    assert outputs.dtype == torch.bfloat16
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().max() > 0


def test_the_stream_follows_the_batch_under_bf16_autocast(name: str) -> None:
    model, inputs = make(name), drawn(2, 7)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        batch, stream = model.outputs(inputs, everywhere(inputs)), streamed(model, inputs)
    exact = model.outputs(inputs, everywhere(inputs))
    torch.testing.assert_close(stream.float(), batch.float(), rtol=0, atol=0.05)
    torch.testing.assert_close(batch.float(), exact, rtol=0, atol=0.05)


def test_generation_writes_what_the_batch_form_finds_likeliest(model: nn.Module) -> None:
    prompt = drawn(3, 4)
    written = prompt
    for _ in range(6):
        last = torch.tensor([written.shape[1] - 1])
        written = torch.cat([written, model.outputs(written, last).argmax(-1)], dim=1)
    assert torch.equal(generate_tokens(model, prompt, 6, temperature=0), written[:, 4:])


def test_each_model_learns_to_repeat_the_token_two_steps_back(name: str) -> None:
    """Five tokens, so that chance is 20 %; scored on freshly drawn sequences."""
    model = make(name)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(200):
        inputs = drawn(32, 13)
        outputs = model.outputs(inputs, torch.arange(2, 13))
        loss = F.cross_entropy(outputs.flatten(0, 1), inputs[:, :-2].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    inputs = drawn(200, 13)
    with torch.no_grad():
        right = model.outputs(inputs, torch.arange(2, 13)).argmax(-1) == inputs[:, :-2]
    assert right.double().mean() > 0.95
