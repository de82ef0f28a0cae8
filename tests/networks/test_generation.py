"""Generation from the RNN alone."""

import pytest
import torch
from torch import Tensor, nn

from memtrain.networks import RNN, Interface, NetworkOptions
from memtrain.networks.cells import Cell
from memtrain.networks.generation import generate_tokens


class LastToken(Cell):
    """Remembers the last input and nothing else."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return embedding.unsqueeze(1)


def counting_rnn(odds: float) -> RNN:
    """After token n it gives n + 1 (mod 4) `odds` times the probability of each other token."""
    options = NetworkOptions(width=4, memory_tokens=1, cell=LastToken, readout="linear")
    rnn = RNN(options, Interface.of_tokens(4))
    with torch.no_grad():
        rnn.embedding.weight.copy_(torch.eye(4))
        layer = rnn.head
        assert isinstance(layer, nn.Linear)
        layer.weight.copy_(torch.eye(4).roll(1, 0) * torch.tensor(odds).log())
        layer.bias.zero_()
    return rnn


def test_the_likeliest_tokens_continue_the_prompt() -> None:
    tokens = generate_tokens(counting_rnn(2.0), torch.tensor([[0, 2], [3, 0]]), 5, temperature=0)
    assert tokens.tolist() == [[3, 0, 1, 2, 3], [1, 2, 3, 0, 1]]


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    """Odds of 9 : 1 : 1 : 1: the successor in three quarters of the draws, at temperature 1/2 in 27/28."""
    prompt = torch.zeros(4000, 1, dtype=torch.long)
    for temperature, expected in ((1.0, 9 / 12), (0.5, 81 / 84)):
        drawn = generate_tokens(counting_rnn(9.0), prompt, 1, temperature, torch.Generator().manual_seed(0))
        assert (drawn == 1).float().mean().item() == pytest.approx(expected, abs=0.03)


def test_a_seed_gives_the_same_tokens() -> None:
    prompt = torch.zeros(8, 1, dtype=torch.long)
    first, second = (
        generate_tokens(counting_rnn(2.0), prompt, 9, generator=torch.Generator().manual_seed(7)) for _ in range(2)
    )
    assert torch.equal(first, second)


def test_the_lowest_temperature_takes_the_likeliest_token() -> None:
    tokens = [generate_tokens(counting_rnn(2.0), torch.tensor([[0, 2]]), 5, value) for value in (0, 1e-45, 1e-300)]
    assert torch.equal(tokens[0], tokens[1])
    assert torch.equal(tokens[0], tokens[2])


def test_a_negative_temperature_is_refused() -> None:
    with pytest.raises(ValueError, match=r"temperature is -1.0, but must be at least 0"):
        generate_tokens(counting_rnn(2.0), torch.zeros(1, 1, dtype=torch.long), 2, temperature=-1.0)
