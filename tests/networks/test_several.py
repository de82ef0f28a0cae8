"""Several targets side by side: each part is as it is alone."""

import pytest
import torch
from torch import Tensor

from memtrain.batch import Targets
from memtrain.networks import Bernoulli, Categorical, Channel, Gaussian, Several
from memtrain.networks.heads.several import SeveralHead

LOAD = Gaussian([Channel("north"), Channel("south")], regimes=["storm"], extremes=[1.0, 1.0])
PARTS = {"load": LOAD, "state": Categorical(3, macro_f1=True), "event": Bernoulli([Channel("outage")])}
OUTPUTS = Several(PARTS)


def batch() -> tuple[SeveralHead, Tensor, Targets]:
    """Columns: two numbers, a class, an event."""
    head = OUTPUTS.head(6)
    numbers, classes = torch.randn(2, 5, 2), torch.randint(0, 3, (2, 5, 1))
    events = torch.randint(0, 2, (2, 5, 1))
    values = torch.cat([numbers, classes, events], dim=-1)
    mask = torch.rand(2, 5, 4) < 0.7
    return head, head(torch.randn(2, 5, 6)), Targets(values, mask, None, torch.randint(0, 2, (2, 5)))


def test_loss_and_scores_of_a_part_are_those_of_its_head_alone() -> None:
    head, parameters, targets = batch()
    losses = head.loss(parameters, targets.values, targets.mask)
    scores = head.scores(parameters, targets)
    assert set(scores) == set(OUTPUTS.names)
    places: dict[str, tuple[slice | int, slice]] = {
        "load": (slice(0, 2), slice(0, 4)), "state": (2, slice(4, 7)), "event": (slice(3, 4), slice(7, 8))
    }  # fmt: skip
    for (name, part), own in zip(PARTS.items(), head.heads, strict=True):
        columns, where = places[name]
        values, mask = targets.values[..., columns], targets.mask[..., columns]
        own_targets = targets._replace(values=values.long() if name == "state" else values, mask=mask)
        expected = own.scores(parameters[..., where], own_targets)
        assert set(expected) == set(part.names)
        torch.testing.assert_close(losses[..., columns], expected["loss"].values)
        for key, scored in expected.items():
            found = scores[f"{key}_{name}"]
            assert torch.equal(found.mask.flatten(), scored.mask.flatten())
            torch.testing.assert_close(found.values.flatten(), scored.values.flatten().float())


def test_a_number_without_a_part_is_over_all_parts_that_have_it() -> None:
    head, parameters, targets = batch()
    scores = head.scores(parameters, targets)
    assert scores["loss"].values.shape == targets.values.shape
    assert torch.equal(scores["loss"].mask, targets.mask)
    assert scores["mae"].mask.shape == (2, 5, 2)
    assert torch.equal(scores["accuracy"].mask, targets.mask[..., 2:3])
    assert torch.equal(scores["loss_storm"].mask, targets.mask[..., :2] & (targets.regime == 1).unsqueeze(-1))


def test_numbers_of_the_split_are_those_of_the_parts() -> None:
    _, parameters, targets = batch()
    together, alone = OUTPUTS.further(), PARTS["event"].further()
    assert set(together) == {"macro_f1_state", "auprc_event", "recall_event"}
    for _ in range(2):
        together.update(parameters.detach(), targets.values, targets.mask)
        alone.update(parameters.detach()[..., 7:], targets.values[..., 3:], targets.mask[..., 3:])
        values = together.compute()
        assert values["auprc_event"] == alone.compute()["auprc"]
        assert 0 <= values["macro_f1_state"] <= 1
        together.reset()
        alone.reset()


def test_a_draw_has_all_columns_in_order() -> None:
    head, parameters, _ = batch()
    drawn = head.sample(parameters[:, 0], 0.0, None)
    torch.testing.assert_close(drawn[:, :2], parameters[:, 0, [0, 2]])
    assert drawn[:, 2].tolist() == parameters[:, 0, 4:7].argmax(-1).tolist()
    assert drawn[:, 3].tolist() == (parameters[:, 0, 7] > 0).tolist()


def test_a_missing_target_of_one_part_has_no_gradient() -> None:
    head, _, targets = batch()
    mask = torch.zeros_like(targets.mask)
    mask[..., 3] = True
    head.loss(head(torch.randn(2, 5, 6)), targets.values, mask).sum().backward()
    sizes = [sum(float(p.grad.abs().sum()) for p in own.parameters() if p.grad is not None) for own in head.heads]
    assert sizes[0] == sizes[1] == 0 < sizes[2]


def test_methods_are_compared_by_the_loss_or_by_a_number_of_a_part() -> None:
    head = Several(PARTS, score="auprc_event").head(2)
    assert (head.score, head.higher_is_better) == ("auprc_event", True)
    with pytest.raises(ValueError, match=r"^score is auprc, but must be one of loss, mae"):
        Several(PARTS, score="auprc")
    with pytest.raises(ValueError, match=r"^parts is empty, but must have at least one part"):
        Several({})
