"""The optimizer step that both sides make."""

import torch
from torch import nn

from benchmarks.steps import CLIP, OptimizerStep


def test_each_network_is_clipped_on_its_own() -> None:
    small, large = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD([*small.parameters(), *large.parameters()], lr=0.0)
    one = torch.ones(1, 1)
    step = OptimizerStep(
        lambda: (0.5 * small(one) + 100.0 * large(one)).sum(),
        [list(small.parameters()), list(large.parameters())],
        optimizer,
    )
    step()
    assert small.weight.grad is not None
    assert large.weight.grad is not None
    torch.testing.assert_close(small.weight.grad, torch.tensor([[0.5]]))
    torch.testing.assert_close(large.weight.grad, torch.tensor([[CLIP]]), rtol=1e-5, atol=0)


def test_gradients_do_not_add_up_over_steps() -> None:
    layer = nn.Linear(1, 1, bias=False)
    step = OptimizerStep(lambda: 0.25 * layer(torch.ones(1, 1)).sum(), [], torch.optim.SGD(layer.parameters(), lr=0.0))
    step()
    step()
    assert layer.weight.grad is not None
    assert layer.weight.grad.item() == 0.25


def test_only_parameters_that_get_a_gradient_count_as_trained() -> None:
    used, idle, foreign = nn.Linear(3, 2), nn.Linear(5, 5), nn.Linear(2, 2)
    optimizer = torch.optim.AdamW([*used.parameters(), *idle.parameters()])
    step = OptimizerStep(lambda: foreign(used(torch.ones(1, 3))).sum(), [], optimizer)
    step()
    assert step.trained_parameters() == 3 * 2 + 2
