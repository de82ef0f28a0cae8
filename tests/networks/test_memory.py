"""Memory normalization and the initial memory."""

import pytest
import torch

from memtrain.networks import RNN, Interface, NetworkOptions, Teacher
from memtrain.networks.memory import InitialMemory, MemorySpec, normalize_memory


def test_rms_scales_each_token_by_hand() -> None:
    """[3, 4] has root mean square sqrt(12.5)."""
    memory = torch.tensor([[[3.0, 4.0], [0.3, 0.4]]])
    expected = torch.tensor([3.0, 4.0]) / 12.5**0.5
    torch.testing.assert_close(normalize_memory(memory, "rms"), expected.expand(1, 2, 2))


def test_a_zero_token_stays_zero_and_has_a_finite_gradient() -> None:
    memory = torch.zeros(1, 2, 4, requires_grad=True)
    normalized = normalize_memory(memory, "rms")
    assert (normalized == 0).all()
    normalized.sum().backward()
    assert memory.grad is not None
    assert memory.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["rms", "tanh"])
def test_normalization_stays_in_float32_under_bfloat16_autocast(kind: str) -> None:
    memory = torch.randn(5, 2, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        normalized = normalize_memory(memory, kind)
        from_bfloat16 = normalize_memory(memory.bfloat16(), kind)
    assert normalized.dtype == from_bfloat16.dtype == torch.float32
    torch.testing.assert_close(normalized, normalize_memory(memory, kind), rtol=0, atol=0)
    if kind == "rms":
        torch.testing.assert_close(from_bfloat16.square().mean(-1), torch.ones(5, 2))


def test_networks_hand_on_float32_memories_under_bfloat16_autocast() -> None:
    options = NetworkOptions(width=16, heads=2, head_dimension=8)
    teacher, rnn = (network(options, Interface.of_tokens(5)) for network in (Teacher, RNN))
    inputs = torch.randint(5, (2, 6))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        memory = teacher.encode(inputs, torch.tensor([1, 5]))
        after = rnn.step(memory[:, 0], rnn.embed(inputs[:, 2]))
    assert memory.dtype == after.dtype == torch.float32
    torch.testing.assert_close(memory.square().mean(-1), torch.ones(2, 2, 4))
    torch.testing.assert_close(after.square().mean(-1), torch.ones(2, 4))


def test_learned_initial_tokens_are_distinct_and_of_unit_rms() -> None:
    tokens = InitialMemory(MemorySpec(32, 4, "rms"), learned=True)(1, torch.zeros(()))[0]
    torch.testing.assert_close(tokens.square().mean(-1), torch.ones(4))
    assert torch.pdist(tokens).min() > 1.0


def test_zero_initial_memory_is_not_learned() -> None:
    start = InitialMemory(MemorySpec(32, 4, "rms"), learned=False)
    assert list(start.parameters()) == []
    assert torch.equal(start(3, torch.zeros((), dtype=torch.float64)), torch.zeros(3, 4, 32, dtype=torch.float64))
