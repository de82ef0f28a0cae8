"""The encoder: what each memory may depend on, and that one call equals encoding each prefix alone."""

from typing import Any

import pytest
import torch
from torch import Tensor

from memtrain.networks import Interface, NetworkOptions, Teacher
from memtrain.networks.teacher import ShortConvolution

LENGTH, VOCABULARY = 11, 6
SMALL: dict[str, Any] = {"width": 16, "memory_tokens": 3, "heads": 2, "head_dimension": 8}
ENCODERS: dict[str, dict[str, Any]] = {
    "causal": {},
    "causal, short convolution": {"short_convolution": 2},
    "causal, window": {"context_length": 3},
    "causal, window of one": {"context_length": 1, "encoder_layers": 3},
    "causal, tanh": {"memory_normalization": "tanh"},
    "bidirectional": {"attention": "bidirectional"},
    "bidirectional, window": {"attention": "bidirectional", "context_length": 4},
}


def make_teacher(**options: Any) -> Teacher:
    return Teacher(NetworkOptions(**SMALL, **options), Interface.of_tokens(VOCABULARY)).double()


@pytest.fixture
def inputs() -> Tensor:
    return torch.randint(VOCABULARY, (2, LENGTH))


@pytest.mark.parametrize("options", ENCODERS.values(), ids=ENCODERS)
def test_all_timesteps_at_once_equal_encoding_each_prefix_alone(options: dict[str, Any], inputs: Tensor) -> None:
    teacher = make_teacher(**options)
    together = teacher.encode(inputs, torch.arange(LENGTH))
    for t in range(LENGTH):
        alone = teacher.encode(inputs[:, : t + 1], torch.tensor([t]))
        torch.testing.assert_close(together[:, t], alone[:, 0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("options", ENCODERS.values(), ids=ENCODERS)
def test_the_order_and_choice_of_timesteps_changes_no_memory(options: dict[str, Any], inputs: Tensor) -> None:
    teacher = make_teacher(**options)
    everything = teacher.encode(inputs, torch.arange(LENGTH))
    some = torch.tensor([7, 2, 7, 0])
    torch.testing.assert_close(teacher.encode(inputs, some), everything[:, some], rtol=1e-9, atol=1e-9)


def furthest_seen(teacher: Teacher, inputs: Tensor, timestep: int) -> set[int]:
    """Which inputs the memory of `timestep` depends on."""
    embeddings = teacher.embedding(inputs).detach().requires_grad_()
    memory = teacher.encoder(embeddings, torch.tensor([timestep]))
    (gradient,) = torch.autograd.grad((memory * torch.randn_like(memory)).sum(), embeddings)
    return set(gradient.norm(dim=(0, 2)).nonzero().flatten().tolist())


def test_a_growing_context_sees_the_whole_past_and_nothing_of_the_future(inputs: Tensor) -> None:
    for attention in ("causal", "bidirectional"):
        assert furthest_seen(make_teacher(attention=attention), inputs, 8) == set(range(9))


@pytest.mark.parametrize(
    ("layers", "window", "taps"), [(1, 3, 0), (2, 3, 0), (3, 2, 0), (2, 1, 0), (2, 3, 2), (2, 3, 3)]
)
def test_a_causal_window_sees_layers_times_window_less_one_tokens_back_and_the_taps_before(
    layers: int, window: int, taps: int, inputs: Tensor
) -> None:
    teacher = make_teacher(encoder_layers=layers, context_length=window, short_convolution=taps)
    assert furthest_seen(teacher, inputs, 9) == set(range(9 - layers * (window - 1) - max(0, taps - 1), 10))


def test_a_windowed_causal_encoder_of_two_layers_does_not_equal_encoding_the_window(inputs: Tensor) -> None:
    """It equals encoding the prefix (above): its second layer attends to states that saw further back."""
    teacher = make_teacher(context_length=3)
    memory = teacher.encode(inputs, torch.tensor([8]))
    of_window = teacher.encode(inputs[:, 6:9], torch.tensor([2]))
    assert not torch.allclose(memory, of_window, atol=1e-3)


def test_a_windowed_bidirectional_encoder_equals_encoding_the_window(inputs: Tensor) -> None:
    teacher = make_teacher(attention="bidirectional", context_length=3)
    memory = teacher.encode(inputs, torch.tensor([8]))
    of_window = teacher.encode(inputs[:, 6:9], torch.tensor([2]))
    torch.testing.assert_close(memory, of_window, rtol=1e-6, atol=1e-6)  # rotary angles are float32
    assert furthest_seen(teacher, inputs, 8) == {6, 7, 8}


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
def test_registers_stand_behind_the_tokens_they_see_at_the_next_position(attention: str, inputs: Tensor) -> None:
    """Spelled out for t = 4: x_0..x_4 at 0..4, three registers at 5 that see everything."""
    teacher = make_teacher(attention=attention)
    tokens = torch.cat([teacher.embedding(inputs[:, :5]), teacher.encoder.registers.expand(2, -1, -1)], dim=1)
    sees = torch.ones(8, 8, dtype=torch.bool)
    if attention == "causal":
        sees[:5] = sees[:5].tril()
    outputs = teacher.encoder.transformer(tokens, torch.tensor([0, 1, 2, 3, 4, 5, 5, 5]), sees)[:, 5:]
    expected = outputs / outputs.square().mean(-1, keepdim=True).sqrt()
    torch.testing.assert_close(teacher.encode(inputs, torch.tensor([4]))[:, 0], expected)


def test_short_convolution_by_hand() -> None:
    """Two taps on one feature: y_t = x_t + w_0 x_{t-1} + w_1 x_t."""
    convolution = ShortConvolution(width=1, taps=2)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([[10.0], [100.0]]))
    outputs = convolution(torch.tensor([[[1.0], [2.0], [3.0]]]))
    assert outputs.flatten().tolist() == [101.0, 212.0, 323.0]


@pytest.mark.parametrize("options", ENCODERS.values(), ids=ENCODERS)
def test_gradients_reach_every_parameter_of_the_teacher(options: dict[str, Any], inputs: Tensor) -> None:
    teacher = make_teacher(**options)
    memory = teacher.encode(inputs, torch.tensor([2, 5]))
    logits = teacher.decode(memory, torch.stack([inputs[:, 3:6], inputs[:, 6:9]], dim=1))
    (logits * torch.randn_like(logits)).sum().backward()
    for name, parameter in teacher.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.norm() > 0, name


@pytest.mark.parametrize("options", ENCODERS.values(), ids=ENCODERS)
def test_reading_in_several_passes_changes_no_memory(
    options: dict[str, Any], inputs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher, timesteps = make_teacher(**options), torch.tensor([9, 0, 4, 5, 3])
    at_once = teacher.encode(inputs, timesteps)
    monkeypatch.setattr("memtrain.networks.teacher.REGISTERS_PER_PASS", 6)  # two timesteps of three registers
    torch.testing.assert_close(teacher.encode(inputs, timesteps), at_once, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
def test_registers_can_stand_at_consecutive_positions(attention: str, inputs: Tensor) -> None:
    """As in the authors' code: for t = 4 the three registers stand at 5, 6 and 7."""
    teacher = make_teacher(attention=attention, register_positions="consecutive")
    tokens = torch.cat([teacher.embedding(inputs[:, :5]), teacher.encoder.registers.expand(2, -1, -1)], dim=1)
    sees = torch.ones(8, 8, dtype=torch.bool)
    if attention == "causal":
        sees[:5] = sees[:5].tril()
    outputs = teacher.encoder.transformer(tokens, torch.arange(8), sees)[:, 5:]
    expected = outputs / outputs.square().mean(-1, keepdim=True).sqrt()
    torch.testing.assert_close(teacher.encode(inputs, torch.tensor([4]))[:, 0], expected)
