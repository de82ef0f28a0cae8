"""Drift by hand, over uneven batches, and for a collapsed memory."""

import pytest
import torch
from torch import Tensor
from torchmetrics import MeanMetric

from memtrain.batch import SequenceBatch
from memtrain.metrics import Drift, drift_curve, future_divergence
from memtrain.networks import Interface, NetworkOptions, OutputHead, Teacher


def compute(rollout: Tensor, teacher: Tensor, sizes: list[int]) -> dict[str, Tensor]:
    drift = Drift()
    for pair in zip(rollout.split(sizes), teacher.split(sizes), strict=True):
        drift.update(*pair)
    return drift.compute()


def test_drift_by_hand() -> None:
    """Two samples, T = 5, K = D = 1. Errors 1, 0, 4, 9, 16; the teacher has t - 1 and t + 1, of variance 1."""
    teacher = torch.arange(5.0).view(1, 5, 1, 1) + torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1)
    rollout = teacher + torch.tensor([1.0, 0.0, 2.0, 3.0, 4.0]).view(1, 5, 1, 1)
    drift = compute(rollout, teacher, [1, 1])
    assert drift["curve"].tolist() == [1.0, 0.0, 4.0, 9.0, 16.0]
    assert drift["mean"].item() == 6.0
    assert drift["equilibrium"].item() == 12.5  # the last quarter of five steps, rounded up: two
    assert drift["relative"].item() == pytest.approx(6.0)


def test_a_clock_has_relative_drift_one() -> None:
    """Its memories follow the mean of the teacher's, which moves much, and know nothing of the inputs."""
    moving = 3.0 * torch.randn(1, 16, 2, 3)
    teacher = moving + torch.randn(400, 16, 2, 3)
    clock = teacher.mean(0, keepdim=True).expand_as(teacher)
    drift = compute(clock, teacher, [300, 100])
    assert drift["relative"].item() == pytest.approx(1.0)
    pooled = teacher.flatten(2).flatten(0, 1).var(0, correction=0).mean()
    assert (drift["mean"] / pooled).item() < 0.3  # what it would be over the variance over time too


def test_uneven_batches_give_exactly_the_result_of_one_batch() -> None:
    teacher, rollout = torch.randn(2, 9, 6, 2, 3).unbind(0)
    once, split = compute(rollout, teacher, [9]), compute(rollout, teacher, [5, 3, 1])
    for name, value in once.items():
        torch.testing.assert_close(split[name], value, rtol=1e-6, atol=0)
    torch.testing.assert_close(once["curve"], drift_curve(rollout, teacher))


def test_the_mean_of_the_teachers_memories_has_relative_drift_one() -> None:
    teacher = torch.randn(50, 8, 2, 3) + 5.0
    rollout = teacher.mean(0, keepdim=True).expand_as(teacher)
    assert compute(rollout, teacher, [20, 30])["relative"].item() == pytest.approx(1.0)


def test_relative_drift_unmasks_a_collapsed_memory() -> None:
    """Memories within 1e-3 of one point: the error is tiny, and yet the rollout knows nothing."""
    teacher = 1.0 + 1e-3 * torch.randn(200, 8, 2, 3)
    drift = compute(torch.ones_like(teacher), teacher, [150, 50])
    assert drift["mean"].item() < 1e-5
    assert drift["relative"].item() == pytest.approx(1.0, abs=0.02)


def test_reset_forgets_and_takes_another_length() -> None:
    drift = Drift()
    drift.update(torch.zeros(2, 3, 1, 1), torch.ones(2, 3, 1, 1))
    drift.reset()
    drift.update(torch.zeros(2, 4, 1, 2), torch.full((2, 4, 1, 2), 2.0))
    assert drift.compute()["curve"].tolist() == [4.0] * 4


LOGITS = {"width": 8, "memory_tokens": 2, "heads": 2, "head_dimension": 4, "encoder_layers": 1}


def tiny(targets: Tensor) -> tuple[Teacher, Tensor, Tensor, SequenceBatch]:
    """A teacher, its memories, others, and a batch `[B, T]` of tokens 0..4 with these targets."""
    torch.manual_seed(0)
    teacher = Teacher(NetworkOptions(**LOGITS), Interface.of_tokens(5)).double().eval()  # type: ignore[arg-type]
    inputs = torch.randint(5, targets.shape)
    memories = teacher.encode(inputs, torch.arange(targets.shape[1])).detach()
    others = torch.randn_like(memories)
    return teacher, memories, others, SequenceBatch.of(inputs, targets, torch.arange(len(targets)))


def test_futures_diverge_as_each_is_decoded_alone() -> None:
    """T = 6: memories at t = 0, 2, 3, 5; targets everywhere but at t = 4."""
    targets = torch.randint(5, (3, 6))
    targets[:, 4] = -100
    teacher, memories, others, batch = tiny(targets)
    expected, count = 0.0, 0
    for sample in range(3):
        for t in (0, 2, 3, 5):
            future = batch.inputs[sample : sample + 1, None, t + 1 :]
            p, q = (teacher.decode(m[sample : sample + 1, t : t + 1], future).squeeze().view(6 - t, 5).softmax(-1)
                    for m in (memories, others))  # fmt: skip
            valid = [k for k in range(6 - t) if t + k != 4]
            expected += float((p * (p / q).log()).sum(-1)[valid].sum())
            count += len(valid)
    metric = MeanMetric().set_dtype(torch.float64)
    for samples in ([0, 1], [2]):
        found = future_divergence(teacher, others[samples], memories[samples], batch.take(torch.tensor(samples)))
        assert found is not None
        metric.update(found[0], found[1].double())
    assert float(metric.compute()) == pytest.approx(expected / count, rel=1e-9)


def test_memories_that_mean_the_same_do_not_diverge() -> None:
    teacher, memories, others, batch = tiny(torch.randint(5, (3, 6)))
    found = future_divergence(teacher, memories, memories, batch)
    assert found is not None
    assert float(found[0].abs().max()) == 0.0
    for weight in (teacher.decoder.head.weight, teacher.decoder.head.bias):
        torch.nn.init.zeros_(weight)  # a decoder to which all memories are the same
    found = future_divergence(teacher, others, memories, batch)
    assert found is not None
    assert float(found[0].abs().max()) == pytest.approx(0.0, abs=1e-15)


def test_few_futures_are_decoded_whatever_the_batch() -> None:
    teacher, memories, others, batch = tiny(torch.randint(5, (40, 7)))
    found = future_divergence(teacher, others, memories, batch)
    assert found is not None
    assert tuple(found[0].shape) == (32, 4, 7)
    assert found[1].sum((0, 2)).tolist() == [32 * 7, 32 * 5, 32 * 3, 32 * 1]  # t = 0, 2, 4, 6
    short = SequenceBatch(*(part[:, :1] for part in batch[:3]), batch.index)
    alone = future_divergence(teacher, others[:, :1], memories[:, :1], short)
    assert alone is not None
    assert tuple(alone[0].shape) == (32, 1, 1)


def test_a_head_without_divergence_has_no_functional_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, memories, others, batch = tiny(torch.randint(5, (3, 6)))
    monkeypatch.setattr(type(teacher.head), "divergence", OutputHead.divergence)
    assert future_divergence(teacher, others, memories, batch) is None
