"""Both ends of a network: what they encode, and that a checkpoint can hold them."""

from typing import Any

import pytest
import torch
import yaml

from memtrain.checkpoints import rebuilt
from memtrain.networks import (
    Bernoulli,
    Categorical,
    Channel,
    Channels,
    Gaussian,
    Interface,
    Mixture,
    NegativeBinomial,
    Quantiles,
    Several,
    StudentT,
    Tokens,
)


def test_a_token_has_one_vector_wherever_it_stands() -> None:
    encoder = Tokens(5).encoder(3)
    embedded = encoder(torch.tensor([[4, 0, 4], [0, 1, 2]]))
    assert embedded.shape == (2, 3, 3)
    assert torch.equal(embedded[0, 0], embedded[0, 2])
    assert torch.equal(embedded[0, 1], embedded[1, 0])
    assert not torch.equal(embedded[0, 0], embedded[0, 1])


def test_tokens_go_in_and_tokens_come_out() -> None:
    interface = Interface.of_tokens(7)
    assert interface.inputs == Tokens(7)
    assert interface.outputs == Categorical(7)
    assert str(interface) == "7 tokens in, 7 classes out"


CHANNELS = [Channel("load", center=3.5, scale=2.0, asinh=True, unit="MW"), Channel("price", "known")]
OPTIONS: dict[str, Any] = {"regimes": ["storm"], "extremes": [1.5, 2.0], "seasonal_errors": [0.5, 0.7]}
OUTPUTS = [
    Categorical(2, "loss_storm", ["storm"], macro_f1=True),
    Gaussian(CHANNELS, score="crps_storm", **OPTIONS),
    StudentT(CHANNELS, **OPTIONS),
    Mixture(CHANNELS, components=2, heavy_tails=True, **OPTIONS),
    NegativeBinomial(CHANNELS, means=[3.0, 4.0], **OPTIONS),
    Quantiles(CHANNELS, levels=[0.1, 0.5, 0.9], **OPTIONS),
    Bernoulli(CHANNELS, rates=[0.1, 0.2], false_alarm_rate=0.05, score="recall"),
    Several({"load": Gaussian(CHANNELS[:1]), "state": Categorical(3), "event": Bernoulli(CHANNELS[1:])}, "mae_load"),
]


@pytest.mark.parametrize(
    "interface",
    [
        Interface.of_tokens(7),
        Interface(Tokens(9), Categorical(2, "loss")),
        *(Interface(Channels(CHANNELS), outputs) for outputs in OUTPUTS),
    ],
    ids=str,
)
def test_an_interface_is_rebuilt_from_what_a_checkpoint_records(interface: Interface) -> None:
    recorded = yaml.safe_load(yaml.safe_dump(interface.to_primitive()))
    assert recorded["class_path"] == "memtrain.networks.interface.Interface"
    again = rebuilt(Interface, recorded["init_args"])
    assert again.inputs == interface.inputs
    assert again.outputs == interface.outputs
    assert again.to_primitive() == interface.to_primitive()


def test_a_vocabulary_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^vocabulary_size is 0, but must be at least 1; choose for example 256\.$"):
        Interface.of_tokens(0)
