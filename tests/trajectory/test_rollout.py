"""Rollouts made ready for a loss: which memories carry a gradient, and how far back it goes."""

import pytest
import torch
from torch import Tensor

from memtrain.networks.cells import Cell, TransformerCell
from memtrain.trajectory import roll_out, sequential

LABELS = torch.tensor([1, 4, 6])


def gradients(states: Tensor, variables: list[Tensor]) -> list[Tensor]:
    """Of a fixed random projection of `states`."""
    direction = torch.randn(states.shape, generator=torch.Generator().manual_seed(3), dtype=states.dtype)
    return list(torch.autograd.grad((states * direction).sum(), variables, allow_unused=True))


def test_values_are_the_rollout_at_the_labels_whatever_the_gradient(
    cell: Cell, start: Tensor, embeddings: Tensor
) -> None:
    expected = sequential(cell, start, embeddings).states[:, LABELS]
    guess = torch.zeros(2, 7, 3, 8, dtype=torch.float64)
    for options in (
        {"gradient": "through_time"},
        {"gradient": "through_time", "truncation": 3},
        {"gradient": "detached"},
        {"method": "picard", "guess": guess, "sweeps": 7},
        {"method": "picard", "guess": guess, "sweeps": 6, "gradient": "detached"},
    ):
        states = roll_out(cell, start, embeddings, LABELS, **options).states
        torch.testing.assert_close(states, expected, rtol=1e-11, atol=1e-11)


def test_through_time_reaches_back_to_the_start(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    variables = [start.requires_grad_(), embeddings.requires_grad_()]
    expected = gradients(sequential(cell, start, embeddings).states[:, LABELS], variables)
    rolled = gradients(roll_out(cell, start, embeddings, LABELS).states, variables)
    for a, b in zip(rolled, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_detached_trains_single_transitions(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    """Only inputs of labelled steps get a gradient, and parameters that of the isolated transitions."""
    embeddings.requires_grad_()
    states = sequential(cell, start, embeddings).states.detach()
    isolated = torch.stack([cell.step(states[:, t - 1], embeddings[:, t]) for t in LABELS], dim=1)
    variables = [embeddings, *cell.parameters()]
    expected = gradients(isolated, variables)
    rolled = gradients(roll_out(cell, start, embeddings, LABELS, gradient="detached").states, variables)
    for a, b in zip(rolled, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert rolled[0].norm(dim=(0, 2)).nonzero().flatten().tolist() == LABELS.tolist()


def test_detached_still_trains_the_initial_memory_where_it_is_labelled(
    cell: Cell, start: Tensor, embeddings: Tensor
) -> None:
    states = roll_out(cell, start.requires_grad_(), embeddings, torch.tensor([0, 3]), gradient="detached").states
    (gradient,) = gradients(states, [start])
    assert gradient.norm() > 0


def test_truncation_cuts_the_gradient_every_so_many_steps(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    """With a cut after every 3 steps the memory after step 4 depends on the inputs 3 and 4 alone."""
    embeddings.requires_grad_()
    states = roll_out(cell, start, embeddings, torch.tensor([4]), truncation=3).states
    (gradient,) = gradients(states, [embeddings])
    assert gradient.norm(dim=(0, 2)).nonzero().flatten().tolist() == [3, 4]


def test_detached_picard_without_sweeps_is_one_step_training(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    guess = torch.rand(2, 7, 3, 8, dtype=torch.float64)
    labels = torch.tensor([0, 2])
    states = roll_out(cell, start, embeddings, labels, "picard", "detached", guess, sweeps=0).states
    torch.testing.assert_close(states[:, 0], cell.step(start, embeddings[:, 0]), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(states[:, 1], cell.step(guess[:, 1], embeddings[:, 2]), rtol=1e-11, atol=1e-11)


def test_picard_without_a_guess_is_refused(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    with pytest.raises(ValueError, match="trajectory is picard, but there is no guess"):
        roll_out(cell, start, embeddings, LABELS, "picard")


@pytest.mark.parametrize("method", ["sequential", "picard"])
def test_every_parameter_gets_a_gradient_after_a_pass_without_under_bfloat16_autocast(method: str) -> None:
    """Autocast caches the weights it casts; those cast without gradient must not be used in the next pass."""
    cell = TransformerCell(8, 3, "rms", heads=2, head_dimension=4)
    start, embeddings = torch.randn(2, 3, 8), torch.randn(2, 7, 8)
    guess = torch.randn(2, 7, 3, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = roll_out(cell, start, embeddings, LABELS, method, "detached", guess, sweeps=2).states
        (states * torch.randn_like(states)).sum().backward()
    for name, parameter in cell.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.norm() > 0, name
