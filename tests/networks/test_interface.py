"""Both ends of a network: what they encode, and that a checkpoint can hold them."""

import pytest
import torch
import yaml

from memtrain.checkpoints import rebuilt
from memtrain.networks import Categorical, Interface, Tokens


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


@pytest.mark.parametrize("interface", [Interface.of_tokens(7), Interface(Tokens(9), Categorical(2, "loss"))])
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
