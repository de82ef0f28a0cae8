"""The causal Transformer: its cost and cache by hand, x-transformers' language model as the oracle, its refusals."""

import pytest
import torch

from memtrain.networks import CausalTransformer, Interface
from memtrain.networks.flops import forward_flops

SEVEN = Interface.of_tokens(7)


def test_sequential_flops_by_hand() -> None:
    """D = 4, two heads of 2: a block of 220 parameters (see test_flops) costs q(10) = 2 * 220 + 4 * 10 * 4 = 600.

    Output: 4 * 7 + 7 = 35 parameters.
    """
    model = CausalTransformer(SEVEN, 4, layers=3, heads=2, head_dimension=2)
    assert model.sequential_flops(10) == 3 * 600 + 2 * 35 == 1870
    assert model.sequential_flops(10) == forward_flops(model.transformer, 10) + forward_flops(model.head)


def test_the_state_holds_keys_and_values_of_every_token_so_far() -> None:
    model = CausalTransformer(SEVEN, 8, layers=3, heads=2, head_dimension=4)
    stream, state, shapes = model.prepared(), None, []
    for token in torch.randint(7, (3, 5)):
        _, state = stream(token, state)
        shapes.append(tuple(state.shape))
    assert shapes == [(5, 3, 2, 1, 2, 4), (5, 3, 2, 2, 2, 4), (5, 3, 2, 3, 2, 4)]
    before = state.clone()
    _, after = stream(torch.zeros(5, dtype=torch.long), state)
    assert torch.equal(state, before)  # a state can be used again, as a search over continuations does
    assert torch.equal(after[:, :, :, :3], before)


def test_a_sequence_of_one_token_repeated_tells_the_model_no_position() -> None:
    """Rotary positions are relative: the weights of equal values do not matter, so that all outputs are the same."""
    model = CausalTransformer(SEVEN, 8, layers=2, heads=2, head_dimension=4).double()
    outputs = model.outputs(torch.full((1, 6), 3), torch.arange(6))
    torch.testing.assert_close(outputs, outputs[:, :1].expand_as(outputs), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", ["width", "layers", "heads", "head_dimension"])
def test_a_size_below_one_is_refused(size: str) -> None:
    message = rf"^model\.model\.init_args\.{size} is 0, but must be at least 1; choose for example 4\.$"
    with pytest.raises(ValueError, match=message):
        CausalTransformer(SEVEN, **{size: 0})


def test_an_odd_head_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^head_dimension is 3, but must be even; choose 4\.$"):
        CausalTransformer(SEVEN, head_dimension=3)
