"""The linear recurrence: the sequential loop as the oracle, its cost and state by hand, its refusals."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from memtrain.networks import Interface, LinearRecurrence
from memtrain.networks.linear_recurrence import RecurrentBlock


def by_hand(model: LinearRecurrence, inputs: Tensor) -> Tensor:
    """The definition, one timestep after the other, differentiated by autograd."""
    x = model.embedding(inputs)
    for block in model.blocks:
        normed = F.rms_norm(x, x.shape[-1:], block.recurrence_norm.weight, eps=1e-12)
        gate = normed @ block.gate.weight.T + block.gate.bias
        candidate = normed @ block.candidate.weight.T + block.candidate.bias
        h, states = torch.zeros_like(gate[:, 0]), []
        for t in range(inputs.shape[1]):
            z = 1 / (1 + torch.exp(-gate[:, t]))
            h = (1 - z) * h + z * candidate[:, t]
            states.append(h)
        x = x + torch.stack(states, dim=1) @ block.out.weight.T
        x = x + block.feed_forward(F.rms_norm(x, x.shape[-1:], block.feed_forward_norm.weight, eps=1e-12))
    return model.head(F.rms_norm(x, x.shape[-1:], model.norm.weight, eps=1e-12))


@pytest.mark.parametrize("length", [1, 2, 7, 17, 101])
def test_outputs_and_all_gradients_equal_the_sequential_loop(length: int) -> None:
    model = LinearRecurrence(Interface.of_tokens(5), 6, layers=3, expansion=2).double()
    inputs = torch.randint(5, (2, length))
    ours, expected = model.outputs(inputs, torch.arange(length)), by_hand(model, inputs)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    direction, parameters = torch.randn_like(ours), dict(model.named_parameters())
    of_ours, of_expected = (
        torch.autograd.grad((y * direction).sum(), list(parameters.values())) for y in (ours, expected)
    )
    for name, a, b in zip(parameters, of_ours, of_expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}")


def test_a_worked_example_of_the_recurrence() -> None:
    """Gates of 1/2 and candidates 2 x: h = 1, 1/2 and 1/4 + 1 after x = 1, 0 and 1, and 1.25 / 2 after one more 0."""
    block = RecurrentBlock(1, 1, 16).double()
    block.recurrence_norm = torch.nn.Identity()
    with torch.no_grad():
        block.gate.weight.zero_()
        block.gate.bias.zero_()
        block.candidate.weight.fill_(2)
        block.candidate.bias.zero_()
        block.out.weight.fill_(1)
        block.feed_forward[2].weight.zero_()
        block.feed_forward[2].bias.zero_()
    x = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64).view(1, 4, 1)
    torch.testing.assert_close((block(x) - x).flatten().tolist(), [1.0, 0.5, 1.25, 0.625])


def test_the_state_keeps_its_size() -> None:
    model = LinearRecurrence(Interface.of_tokens(7), 8, layers=3, expansion=2)
    stream, state = model.prepared(), None
    for token in torch.randint(7, (4, 5)):
        _, state = stream(token, state)
        assert state.shape == (5, 3, 16)


def test_states_are_kept_in_float32_under_bf16_autocast() -> None:
    """A gate of about 1/10,000 still changes a state that 16 bits would leave as it was."""
    block = RecurrentBlock(4, 4, 16)
    with torch.no_grad():
        block.gate.bias.fill_(-9.2)
        block.gate.weight.zero_()
    with torch.autocast("cpu", torch.bfloat16):
        _, state = block.step(torch.randn(1, 4), torch.ones(1, 4))
    assert state.dtype == torch.float32
    assert ((state - 1).abs() > 1e-5).all()
    assert ((state - 1).abs() < 1e-3).all()


def test_a_new_block_remembers_for_two_to_longest_memory_steps() -> None:
    block = RecurrentBlock(15, 15, 16)
    steps = 1 / block.gate.bias.sigmoid()
    torch.testing.assert_close(steps.sort().values, torch.arange(2.0, 17.0))


def test_sequential_flops_by_hand() -> None:
    """D = 4 and 8 numbers a state. A block has two norms (2 * 4), gate and candidate (2 * (4 * 8 + 8)), the way out
    (8 * 4) and a feed-forward (4 * 16 + 16 + 16 * 4 + 4): 268 parameters.

    Its scan of ten steps: chunks of 4, so 3 steps inside all chunks, 3 from chunk to chunk and one to fill in, of a
    multiply-add of 8 numbers each: 7 * 16. Output: 4 * 7 + 7 = 35 parameters.
    """
    model = LinearRecurrence(Interface.of_tokens(7), 4, layers=3, expansion=2)
    assert model.sequential_flops(10) == 3 * (2 * 268 + 7 * 16) + 2 * 35 == 2014


@pytest.mark.parametrize(
    ("size", "value", "least", "example"),
    [("width", 0, 1, 4), ("layers", 0, 1, 4), ("expansion", 0, 1, 4), ("longest_memory", 1, 2, 16)],
)
def test_a_size_that_cannot_be_is_refused(size: str, value: int, least: int, example: int) -> None:
    wanted = (
        rf"^model\.model\.init_args\.{size} is {value}, but must be at least {least}; choose for example {example}\.$"
    )
    with pytest.raises(ValueError, match=wanted):
        LinearRecurrence(Interface.of_tokens(7), **{size: value})


@pytest.mark.parametrize("first", ["memtrain.networks.linear_recurrence", "memtrain.trajectory", "memtrain.networks"])
def test_it_can_be_imported_whatever_is_imported_first(first: str) -> None:
    program = f"import {first}; import memtrain.networks.linear_recurrence, memtrain.trajectory"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
