"""The masked mean, and that its average over ranks is the mean of one process."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from memtrain.objectives import masked_mean


def test_the_mean_counts_valid_terms_only() -> None:
    mean = masked_mean(torch.tensor([1.0, 2.0, torch.nan, 6.0]), torch.tensor([True, True, False, True]))
    assert mean.item() == 3.0


def test_nothing_valid_is_zero_without_a_gradient() -> None:
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    mean = masked_mean(values, torch.zeros(2, dtype=torch.bool))
    mean.backward()
    assert mean.item() == 0.0
    assert values.grad is not None
    assert values.grad.tolist() == [0.0, 0.0]


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=4), st.integers(0, 99))
def test_the_average_over_ranks_is_the_mean_of_one_process(masks: list[list[bool]], seed: int) -> None:
    """DDP averages over ranks what each computes from its own terms and the count over all ranks."""
    mask = torch.tensor(masks)
    values = torch.randn(mask.shape, generator=torch.Generator().manual_seed(seed))
    ranks = [masked_mean(v, m, mask.sum(), len(mask)) for v, m in zip(values, mask, strict=True)]
    torch.testing.assert_close(torch.stack(ranks).mean(), masked_mean(values, mask))
