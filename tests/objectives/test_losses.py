"""The losses by hand, and uniformity against `pdist`."""

import math

import pytest
import torch
from torch.nn import functional as F

from memtrain.objectives import cross_entropy, memory_error, uniformity


def test_cross_entropy_by_hand() -> None:
    """Odds of 1 : 3 for class 1 give -ln(3/4); no target gives 0; equal logits of four classes give ln 4."""
    logits = torch.tensor([[[0.0, math.log(3.0), -torch.inf, -torch.inf], [5.0, 1.0, 2.0, 3.0], [7.0] * 4]])
    losses = cross_entropy(logits, torch.tensor([[1, 0, 2]]), torch.tensor([[True, False, True]]))
    torch.testing.assert_close(losses, torch.tensor([[math.log(4 / 3), 0.0, math.log(4)]]))


def test_a_missing_target_sends_no_gradient() -> None:
    logits = torch.randn(2, 3, 5, requires_grad=True)
    mask = torch.tensor([[True, False, True], [False, False, True]])
    cross_entropy(logits, torch.tensor([[1, 3, 2], [4, 4, 0]]), mask).sum().backward()
    assert logits.grad is not None
    assert (logits.grad.norm(dim=-1) > 0).tolist() == mask.tolist()


def test_cross_entropy_is_float32_of_bfloat16_logits() -> None:
    logits = torch.randn(4, 100).bfloat16()
    targets, mask = torch.arange(4), torch.ones(4, dtype=torch.bool)
    losses = cross_entropy(logits, targets, mask)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, cross_entropy(logits.float(), targets, mask))


def test_memory_error_by_hand() -> None:
    """Differences 1, 2, 3 and 4 have the mean square 30 / 4."""
    prediction = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert memory_error(prediction, torch.zeros(2, 2, 2)).tolist() == [7.5, 0.0]


def test_uniformity_by_hand() -> None:
    """Two opposite unit vectors are 2 apart: log exp(-2 * 4) = -8, whatever their length was before."""
    assert uniformity(torch.tensor([[1.0, 0.0], [-3.0, 0.0]])).item() == pytest.approx(-8.0)


def test_uniformity_of_collapsed_vectors_is_zero() -> None:
    assert uniformity(torch.randn(1, 16).expand(50, 16)).item() == pytest.approx(0.0, abs=1e-5)


def test_uniformity_of_spread_vectors_is_about_minus_four() -> None:
    """Random directions in many dimensions are nearly orthogonal, sqrt(2) apart."""
    assert uniformity(torch.randn(512, 256)).item() == pytest.approx(-4.0, abs=0.05)


def test_uniformity_agrees_with_pdist_in_value_and_gradient() -> None:
    vectors = torch.randn(40, 6, dtype=torch.float64, requires_grad=True)
    expected = torch.pdist(F.normalize(vectors, dim=-1)).square().mul(-2).exp().mean().log()
    torch.testing.assert_close(uniformity(vectors), expected)
    ours, theirs = (torch.autograd.grad(loss, vectors)[0] for loss in (uniformity(vectors), expected))
    torch.testing.assert_close(ours, theirs)


def test_uniformity_is_computed_in_float32_under_bfloat16_autocast() -> None:
    vectors = torch.randn(64, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = uniformity(vectors)
    assert torch.equal(under_autocast, uniformity(vectors))
