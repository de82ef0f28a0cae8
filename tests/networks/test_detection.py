"""How well rare classes and events are found, against scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_curve

from memtrain.networks import Bernoulli, Categorical, Channel
from memtrain.networks.heads.detection import AveragePrecision, RecallAtFalseAlarmRate

TWO = [Channel("storm"), Channel("flood")]


def test_average_precision_and_recall_of_each_channel_are_scikit_learns() -> None:
    """Over uneven batches with missing targets; ties, because logits are rounded."""
    logits = (3 * torch.randn(400, 2)).round()
    events = (torch.rand(400, 2) < torch.tensor([0.05, 0.3])).float()
    mask = torch.rand(400, 2) < 0.8
    metrics = Bernoulli(TWO, false_alarm_rate=0.1).further()
    for part in (slice(0, 10), slice(10, 11), slice(11, 400)):
        metrics.update(logits[part], events[part], mask[part])
    precision, recall = [], []
    for channel in range(2):
        own = mask[:, channel]
        pair = events[own, channel].numpy(), logits[own, channel].numpy()
        precision.append(average_precision_score(*pair))
        false_alarms, found, _ = roc_curve(*pair, drop_intermediate=False)
        recall.append(found[false_alarms <= 0.1].max())
    values = metrics.compute()
    assert values["auprc"].item() == pytest.approx(np.mean(precision))
    assert values["recall"].item() == pytest.approx(np.mean(recall))


def test_recall_by_hand() -> None:
    """Four targets without event, so that 0.25 allows one false alarm; from the highest logit: 1, 0, 1, 0, 1."""
    logits = torch.tensor([[5.0], [4.0], [3.0], [2.0], [1.0], [0.5], [0.2]])
    events = torch.tensor([[1.0], [0.0], [1.0], [0.0], [1.0], [0.0], [0.0]])
    for rate, found in ((0.25, 2 / 3), (0.24, 1 / 3), (0.5, 1.0)):
        metric = RecallAtFalseAlarmRate(1, rate)
        metric.update(logits, events, torch.ones_like(events).bool())
        assert metric.compute().item() == pytest.approx(found)


def test_nearly_certain_events_are_told_apart() -> None:
    """In single precision both probabilities would be 1, and precision 1/2."""
    metric = AveragePrecision(1)
    metric.update(torch.tensor([[20.0], [19.0]]), torch.tensor([[1.0], [0.0]]), torch.ones(2, 1).bool())
    assert metric.compute().item() == 1.0


def test_without_events_there_is_no_value() -> None:
    metric = AveragePrecision(2)
    metric.update(torch.zeros(3, 2), torch.zeros(3, 2), torch.ones(3, 2).bool())
    assert metric.compute().isnan()
    metric.update(torch.zeros(3, 2), torch.tensor([[0.0, 1.0]] * 3), torch.tensor([[True, False]] * 3))
    assert metric.compute().isnan()


def test_macro_f1_is_scikit_learns() -> None:
    """Of 5 classes, one of which neither occurs nor is predicted."""
    logits, classes, mask = torch.randn(2, 100, 5), torch.randint(0, 4, (2, 100)), torch.rand(2, 100) < 0.7
    logits[..., 4] = -9
    metrics = Categorical(5, "macro_f1", macro_f1=True).further()
    for i in range(2):
        metrics.update(logits[i], classes[i], mask[i])
    expected = f1_score(classes[mask], logits.argmax(-1)[mask], average="macro")
    assert metrics.compute()["macro_f1"].item() == pytest.approx(expected)


def test_classes_have_no_f1_unless_it_is_asked_for() -> None:
    assert not Categorical(5).further()
    with pytest.raises(ValueError, match=r"^score is macro_f1, but must be one of loss, accuracy\.$"):
        Categorical(5, "macro_f1")
