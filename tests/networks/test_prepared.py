"""The prepared stack: `Transformer.forward` is its oracle, in values and in all gradients."""

import pytest
import torch
from torch import Tensor

from memtrain.networks.prepared import PreparedTransformer
from memtrain.networks.transformer import Transformer

TOKENS, WIDTH = 5, 12


@pytest.fixture
def transformer() -> Transformer:
    stack = Transformer(WIDTH, layers=3, heads=2, head_dimension=8).double()
    with torch.no_grad():
        for name, parameter in stack.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
    return stack


def gradients(outputs: Tensor, x: Tensor, transformer: Transformer) -> list[Tensor]:
    direction = torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).view_as(outputs)
    return list(torch.autograd.grad((outputs * direction).sum(), [x, *transformer.parameters()]))


@pytest.mark.parametrize(
    ("outputs", "causal"), [(slice(0, 4), False), (slice(None), False), (slice(4, None), True)], ids=str
)
def test_the_prepared_stack_equals_the_stack(transformer: Transformer, outputs: slice, causal: bool) -> None:
    x = torch.randn(3, TOKENS, WIDTH, dtype=torch.float64, requires_grad=True)
    positions = torch.arange(TOKENS)
    prepared = PreparedTransformer(transformer, positions, outputs, causal)(x)
    expected = transformer(x, positions, causal=causal, outputs=outputs)
    torch.testing.assert_close(prepared, expected, rtol=1e-12, atol=1e-12)
    for own, of_stack in zip(gradients(prepared, x, transformer), gradients(expected, x, transformer), strict=True):
        torch.testing.assert_close(own, of_stack, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scale", [0.0, 1e-7, 1e-6, 1e-3])
def test_tokens_of_nearly_nothing_are_scaled_as_by_the_norms(transformer: Transformer, scale: float) -> None:
    """Zeros are what memories start from where `initial_memory` is zeros."""
    x = scale * torch.randn(2, TOKENS, WIDTH, dtype=torch.float64)
    positions = torch.arange(TOKENS)
    prepared = PreparedTransformer(transformer, positions, slice(None))(x)
    torch.testing.assert_close(prepared, transformer(x, positions), rtol=1e-10, atol=1e-10)


def test_weights_are_cast_once_under_autocast(transformer: Transformer) -> None:
    transformer.float()
    x = torch.randn(3, TOKENS, WIDTH)
    casts = []
    with torch.autocast("cpu", torch.bfloat16):
        prepared = PreparedTransformer(transformer, torch.arange(TOKENS), slice(None))
        for _ in range(3):
            with torch.profiler.profile(record_shapes=True) as profile:
                outputs = prepared(x)
            weights = {tuple(p.shape) for p in transformer.parameters() if p.dim() == 2}
            casts += [e for e in profile.events() if e.name == "aten::_to_copy" and tuple(e.input_shapes[0]) in weights]
        expected = transformer(x, torch.arange(TOKENS))
    assert not casts
    torch.testing.assert_close(outputs, expected, rtol=0.05, atol=0.05)
