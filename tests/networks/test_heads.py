"""The head of classes by hand: loss, accuracy, draws, and what a masked target does."""

import math

import pytest
import torch

from memtrain.networks import Categorical

THREE_TO_ONE = torch.tensor([math.log(3.0), 0.0])
"""Logits of two classes, the first three times as likely as the second."""


def test_a_head_maps_features_to_logits() -> None:
    head = Categorical(5).head(3)
    assert head(torch.randn(2, 7, 3)).shape == (2, 7, 5)
    torch.testing.assert_close(head(torch.zeros(3)), head.bias)


def test_loss_and_accuracy_by_hand() -> None:
    """Probabilities 3/4 and 1/4: -ln(3/4) where the first class is right, -ln(1/4) where it is not; then no target."""
    head, parameters = Categorical(2).head(3), THREE_TO_ONE.expand(1, 3, 2)
    targets, mask = torch.tensor([[0, 1, 0]]), torch.tensor([[True, True, False]])
    losses = head.loss(parameters, targets, mask)
    torch.testing.assert_close(losses, torch.tensor([[math.log(4 / 3), math.log(4), 0.0]]))
    metrics = head.metrics(parameters, targets, mask)
    assert metrics.keys() == set(Categorical(2).metrics)
    assert metrics["accuracy"].tolist() == [[True, False, False]]


@pytest.mark.parametrize("masked_target", [0, 1, 4])
def test_a_masked_target_counts_for_nothing_whatever_stands_there(masked_target: int) -> None:
    head = Categorical(5).head(3)
    features = torch.randn(2, 3, requires_grad=True)
    targets, mask = torch.tensor([2, masked_target]), torch.tensor([True, False])
    parameters = head(features)
    losses = head.loss(parameters, targets, mask)
    losses.sum().backward()
    assert losses[0] > 0
    assert losses[1] == 0
    assert features.grad is not None
    assert features.grad[0].abs().min() > 0
    assert features.grad[1].abs().max() == 0
    assert not head.metrics(parameters, targets, mask)["accuracy"][1]


def test_without_any_target_no_weight_gets_a_gradient_other_than_zero() -> None:
    head = Categorical(5).head(3)
    head.loss(
        head(torch.randn(2, 3)), torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.bool)
    ).sum().backward()
    for parameter in head.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() == 0


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 3 / 4), (0.5, 9 / 10), (2.0, 3**0.5 / (3**0.5 + 1))])
def test_classes_are_drawn_as_often_as_they_are_likely(temperature: float, share: float) -> None:
    """Odds of 3 : 1; at temperature 1/2 they are 9 : 1, at 2 they are sqrt(3) : 1."""
    head, rows = Categorical(2).head(3), THREE_TO_ONE.expand(20_000, 2)
    drawn = head.sample(rows, temperature, torch.Generator().manual_seed(0))
    assert drawn.shape == (20_000,)
    assert (drawn == 0).float().mean().item() == pytest.approx(share, abs=0.01)


def test_temperature_zero_takes_the_likeliest_class() -> None:
    head = Categorical(3).head(2)
    assert head.sample(torch.tensor([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), 0, None).tolist() == [1, 0]


def test_a_seed_gives_the_same_draws() -> None:
    head, rows = Categorical(4).head(2), torch.randn(50, 4)
    first, again, other = (head.sample(rows, 1.0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_methods_are_compared_by_accuracy_or_by_loss() -> None:
    accuracy, loss = Categorical(4).head(2), Categorical(4, "loss").head(2)
    assert (accuracy.score, accuracy.higher_is_better) == ("accuracy", True)
    assert (loss.score, loss.higher_is_better) == ("loss", False)


def test_an_output_without_classes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^classes is 0, but must be at least 1; choose for example 256\.$"):
        Categorical(0)
