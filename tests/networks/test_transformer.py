"""The Transformer blocks: x-transformers with carried-over weights, and their own full output, as oracles."""

import pytest
import torch
import x_transformers
from torch import Tensor
from torch.nn import functional as F

from benchmarks.parity import carry_stack
from memtrain.networks.attention import FEW_TOKENS, attend_few, attention
from memtrain.networks.rotary import Rotary, rotate
from memtrain.networks.transformer import Transformer

WIDTH, LAYERS, HEADS = 24, 3, 2


def carry_over(reference: torch.nn.Module, own: Transformer) -> None:
    """Copy the weights of an x-transformers stack, and its rotary frequencies (ours, but for rounding)."""
    frequencies = reference.rotary_pos_emb.inv_freq
    torch.testing.assert_close(own.rotary.frequencies[: len(frequencies)], frequencies, rtol=1e-6, atol=0)
    with torch.no_grad():
        own.rotary.frequencies[: len(frequencies)] = frequencies
    carry_stack(reference, own)


def pair(kind: type) -> tuple[torch.nn.Module, Transformer]:
    """An x-transformers stack of its defaults (heads of 64, rotary on 32) with random gains, and our copy."""
    sizes = {"dim": WIDTH, "depth": LAYERS, "heads": HEADS}
    # Without attn_flash its softmax is in float32 whatever the inputs.
    reference = kind(**sizes, rotary_pos_emb=True, use_rmsnorm=True, attn_flash=True).double()
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if name.endswith(".g"):
                parameter.uniform_(-0.5, 0.5)
    own = Transformer(WIDTH, LAYERS, HEADS, head_dimension=64).double()
    carry_over(reference, own)
    return reference, own


def assert_same_values_and_gradients(ours: Tensor, theirs: Tensor, x: Tensor, own, reference) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    direction = torch.randn_like(ours)
    (of_ours,) = torch.autograd.grad((ours * direction).sum(), x, retain_graph=True)
    (of_theirs,) = torch.autograd.grad((theirs * direction).sum(), x, retain_graph=True)
    torch.testing.assert_close(of_ours, of_theirs, rtol=1e-9, atol=1e-9)
    ours_qkv = torch.autograd.grad((ours * direction).sum(), own.blocks[0].attention.qkv.weight)[0]
    attention = reference.layers[0][1]
    theirs_qkv = torch.autograd.grad(
        (theirs * direction).sum(), [attention.to_q.weight, attention.to_k.weight, attention.to_v.weight]
    )
    torch.testing.assert_close(ours_qkv, torch.cat(theirs_qkv), rtol=1e-9, atol=1e-9)


def test_half_of_a_head_but_at_least_32_features_are_rotated_as_in_x_transformers() -> None:
    rotated = {}
    for head_dimension in (16, 32, 64, 128):
        head = torch.randn(1, 1, head_dimension)
        turned = rotate(head, Transformer(WIDTH, 1, 1, head_dimension).rotary(torch.tensor([5])))
        rotated[head_dimension] = int((turned != head).sum())
    assert rotated == {16: 16, 32: 32, 64: 32, 128: 64}


def test_bidirectional_stack_equals_x_transformers_encoder() -> None:
    reference, own = pair(x_transformers.Encoder)
    x = torch.randn(2, 9, WIDTH, dtype=torch.float64, requires_grad=True)
    assert_same_values_and_gradients(own(x, torch.arange(9)), reference(x), x, own, reference)


def test_causal_stack_equals_x_transformers_decoder() -> None:
    reference, own = pair(x_transformers.Decoder)
    x = torch.randn(2, 9, WIDTH, dtype=torch.float64, requires_grad=True)
    assert_same_values_and_gradients(own(x, torch.arange(9), causal=True), reference(x), x, own, reference)


def test_registers_at_one_position_equal_x_transformers_with_the_same_positions() -> None:
    """The authors' encoder: context at 0..4, then three registers that all stand at position 5."""
    reference, own = pair(x_transformers.Encoder)
    positions = torch.tensor([0, 1, 2, 3, 4, 5, 5, 5])
    x = torch.randn(2, 8, WIDTH, dtype=torch.float64, requires_grad=True)
    assert_same_values_and_gradients(own(x, positions), reference(x, pos=positions), x, own, reference)


def test_an_explicit_mask_equals_x_transformers_with_the_same_mask() -> None:
    reference, own = pair(x_transformers.Encoder)
    mask = torch.rand(9, 9) < 0.5
    mask.fill_diagonal_(True)
    x = torch.randn(2, 9, WIDTH, dtype=torch.float64, requires_grad=True)
    assert_same_values_and_gradients(own(x, torch.arange(9), mask), reference(x, attn_mask=mask), x, own, reference)


def test_rotation_by_hand() -> None:
    """At position 3 the first pair of a head of 4 turns by 3 radians; the second, not rotated, stays."""
    tables = Rotary(head_dimension=4, rotated=2)(torch.tensor([3]))
    turned = rotate(torch.tensor([1.0, 0.0, 5.0, 7.0]).view(1, 1, 4), tables).flatten()
    expected = [torch.cos(torch.tensor(3.0)), torch.sin(torch.tensor(3.0)), 5.0, 7.0]
    torch.testing.assert_close(turned, torch.tensor(expected))


def test_attention_depends_on_relative_positions_only() -> None:
    own = Transformer(WIDTH, 2, HEADS, head_dimension=8).double()
    x = torch.randn(1, 5, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(own(x, torch.arange(5)), own(x, torch.arange(5) + 11), rtol=1e-8, atol=1e-8)
    assert not torch.allclose(own(x, torch.arange(5)), own(x, 2 * torch.arange(5)), atol=1e-4)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("outputs", [slice(2, None), slice(0, 3), torch.tensor([5, 0]), torch.tensor([[1], [4]])])
def test_wanted_outputs_equal_slicing_the_full_output(causal: bool, outputs: slice | Tensor) -> None:
    own = Transformer(WIDTH, 2, HEADS, head_dimension=8).double()
    x = torch.randn(2, 6, WIDTH, dtype=torch.float64, requires_grad=True)
    full = own(x, torch.arange(6), causal=causal)
    if isinstance(outputs, slice):
        expected = full[:, outputs]
    else:
        expected = torch.stack([full[b, outputs[b % len(outputs)] if outputs.dim() == 2 else outputs] for b in (0, 1)])
    wanted = own(x, torch.arange(6), causal=causal, outputs=outputs)
    torch.testing.assert_close(wanted, expected)
    direction = torch.randn_like(expected)
    gradients = [torch.autograd.grad((y * direction).sum(), x, retain_graph=True)[0] for y in (wanted, expected)]
    torch.testing.assert_close(*gradients)


def test_wanted_outputs_equal_slicing_under_a_mask_of_each_sample() -> None:
    own = Transformer(WIDTH, 2, HEADS, head_dimension=8).double()
    x = torch.randn(3, 6, WIDTH, dtype=torch.float64)
    mask = (torch.rand(3, 6, 6) < 0.4) | torch.eye(6, dtype=torch.bool)
    full = own(x, torch.arange(6), mask)
    for b in range(3):
        torch.testing.assert_close(full[b], own(x[b : b + 1], torch.arange(6), mask[b])[0])
    torch.testing.assert_close(own(x, torch.arange(6), mask, outputs=torch.tensor([3, 1])), full[:, [3, 1]])


@pytest.mark.parametrize("rotated", [3, 10, -2])
def test_impossible_rotary_dimensions_are_refused(rotated: int) -> None:
    with pytest.raises(ValueError, match=f"rotary_dimensions is {rotated}, but must be even and at most"):
        Transformer(WIDTH, 1, 1, head_dimension=8, rotary_dimensions=rotated)


def test_a_stack_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="layers is 0, but a Transformer needs at least 1"):
        Transformer(WIDTH, 0, 1, head_dimension=8)


@pytest.mark.parametrize("tokens", range(1, FEW_TOKENS + 1))
def test_attention_to_few_tokens_equals_the_fused_kernel(tokens: int) -> None:
    q, k, v = (torch.randn(2, 5, size, 3, 4, dtype=torch.float64, requires_grad=True) for size in (2, tokens, tokens))
    few = attend_few(q, k, v)
    fused = F.scaled_dot_product_attention(*(part.transpose(-3, -2) for part in (q, k, v))).transpose(-3, -2)
    torch.testing.assert_close(few, fused, rtol=0, atol=1e-12)
    weights = torch.randn_like(few)
    gradients = [torch.autograd.grad((out * weights).sum(), (q, k, v)) for out in (few, fused)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("masks", [None, (), (1,), (7,)], ids=["causal", "shared", "of one", "of each"])
def test_more_samples_than_a_kernel_takes_go_through_it_in_parts(
    masks: tuple[int, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    q, k, v = (torch.randn(7, 6, 3, 4, dtype=torch.float64) for _ in range(3))
    mask = None if masks is None else torch.rand(*masks, 6, 6) < 0.5
    if mask is not None:
        mask |= torch.eye(6, dtype=torch.bool)
    whole = attention(q, k, v, mask, causal=mask is None)
    monkeypatch.setattr("memtrain.networks.attention.MOST_SAMPLES", 3)
    torch.testing.assert_close(attention(q, k, v, mask, causal=mask is None), whole, rtol=0, atol=1e-14)
