"""FLOPs by hand, and the profile's rows."""

import pytest
import torch
from torch.nn import functional as F

from benchmarks.limit import OPERATORS, count_flops, profile_step, share_of_limit


def test_flops_of_a_product_and_its_backward_by_hand() -> None:
    left, right = torch.randn(2, 3), torch.randn(3, 5, requires_grad=True)
    assert count_flops(lambda: left @ right) == 2 * 2 * 3 * 5
    assert count_flops(lambda: (left @ right).sum().backward()) == 2 * (2 * 2 * 3 * 5)


def test_attention_is_counted() -> None:
    q, k, v = torch.randn(3, 1, 2, 7, 4)  # two heads, seven tokens, four features
    assert count_flops(lambda: F.scaled_dot_product_attention(q, k, v)) == 2 * 2 * (2 * 7 * 7 * 4)


def test_the_share_is_flops_over_what_the_machine_could_do_in_that_time() -> None:
    left, right = torch.randn(2, 8, 8).unbind()
    share = share_of_limit(lambda: left @ right, speed=1e9)
    assert share["flops"] == 1024
    assert share["share"] == pytest.approx(1024 / share["seconds"] / 1e9)


def test_a_profile_lists_the_costliest_operators_first() -> None:
    left, right = torch.randn(2, 200, 200).unbind()
    rows = profile_step(lambda: (left @ right).relu())
    assert rows[0]["operator"] == "aten::mm"
    assert rows[0]["calls"] == 1
    assert sorted((row["share"] for row in rows), reverse=True) == [row["share"] for row in rows]
    assert len(rows) <= OPERATORS
