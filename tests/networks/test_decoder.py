"""The decoder must not leak: memory is its only route from the past, no target helps to predict itself."""

import pytest
import torch

from memtrain.networks import Interface, NetworkOptions, Teacher

VOCABULARY, K, FUTURE = 6, 3, 5


@pytest.fixture(params=["causal", "full"])
def teacher(request: pytest.FixtureRequest) -> Teacher:
    options = NetworkOptions(
        width=16, memory_tokens=K, heads=2, head_dimension=8, decoder_layers=2, memory_attention=request.param
    )
    return Teacher(options, Interface.of_tokens(VOCABULARY)).double()


def random_memory(*leading: int) -> torch.Tensor:
    return torch.randn(*leading, K, 16, dtype=torch.float64)


def test_logits_at_a_position_do_not_change_when_later_inputs_change(teacher: Teacher) -> None:
    """logits[i] is of y_{t+i} and may use x_{t+1}..x_{t+i}, the first i inputs of the future."""
    memory, future = random_memory(2, 1), torch.randint(VOCABULARY, (2, 1, FUTURE))
    logits = teacher.decode(memory, future)
    for i in range(FUTURE):
        changed = future.clone()
        changed[..., i] = (changed[..., i] + 1) % VOCABULARY
        difference = (teacher.decode(memory, changed) - logits).abs().amax((0, 1, 3))
        assert (difference[: i + 1] < 1e-12).all(), f"input {i} of the future leaks into its own or an earlier target"
        assert (difference[i + 1 :] > 1e-6).all(), f"input {i} of the future is not used afterwards"


def test_memory_is_the_only_route_from_the_past(teacher: Teacher) -> None:
    """Two pasts with the same memory have the same predictions; other memories change all of them."""
    future = torch.randint(VOCABULARY, (1, 1, FUTURE)).expand(2, 2, FUTURE)
    memory = random_memory(2, 2)
    memory[1, 1] = memory[0, 0]
    logits = teacher.decode(memory, future)
    torch.testing.assert_close(logits[1, 1], logits[0, 0], rtol=0, atol=1e-12)
    assert ((logits[0, 1] - logits[0, 0]).abs().amax(-1) > 1e-6).all()


def test_every_memory_token_is_read(teacher: Teacher) -> None:
    memory = random_memory(1).requires_grad_()
    (gradient,) = torch.autograd.grad(teacher.read(memory).square().sum(), memory)
    assert (gradient.norm(dim=-1) > 0).all()


def test_memory_attention_decides_whether_earlier_memory_tokens_see_later_ones() -> None:
    seen = {}
    for kind in ("causal", "full"):
        options = NetworkOptions(width=16, memory_tokens=K, heads=2, head_dimension=8, memory_attention=kind)
        decoder = Teacher(options, Interface.of_tokens(VOCABULARY)).double().decoder
        memory = random_memory(1).requires_grad_()
        first = decoder(memory, wanted=torch.tensor([1 - K]))  # K - 1 positions before that of y_t
        (gradient,) = torch.autograd.grad(first.square().sum(), memory)
        seen[kind] = (gradient.norm(dim=-1) > 0).flatten().tolist()
    assert seen == {"causal": [True, False, False], "full": [True, True, True]}


def test_reading_is_decoding_without_a_future(teacher: Teacher) -> None:
    memory, future = random_memory(2, 4), torch.randint(VOCABULARY, (2, 4, FUTURE))
    torch.testing.assert_close(teacher.read(memory), teacher.decode(memory, future)[:, :, 0])
    torch.testing.assert_close(teacher.read(memory), teacher.decode(memory, future[..., :0])[:, :, 0])


@pytest.mark.parametrize("shape", [(4, 2), (3, 4, 2), (2,)])
def test_wanted_targets_equal_gathering_them_from_all(teacher: Teacher, shape: tuple[int, ...]) -> None:
    memory, future = random_memory(3, 4), torch.randint(VOCABULARY, (3, 4, FUTURE))
    wanted = torch.randint(FUTURE + 1, shape)
    index = wanted.expand(3, 4, 2).unsqueeze(-1).expand(-1, -1, -1, VOCABULARY)
    expected = teacher.decode(memory, future).gather(2, index)
    torch.testing.assert_close(teacher.decode(memory, future, wanted), expected)
