"""Loss, bits and accuracy per valid target, over uneven batches and over ranks."""

import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from memtrain.batch import Targets
from memtrain.metrics import Drift, Prediction
from memtrain.networks import Categorical
from memtrain.networks.heads import Scored

LOGITS = torch.tensor([[0.0, math.log(3.0)], [0.0, math.log(3.0)], [9.0, 0.0], [0.0, 0.0]])
TARGETS = torch.tensor([1, 0, 0, 0])
MASK = torch.tensor([True, True, False, False])


def seen(rows: slice = slice(None)) -> dict[str, Scored]:
    """What the head of two classes gives the metric for some of the rows."""
    return Categorical(2).head(1).scores(LOGITS[rows], Targets(TARGETS[rows], MASK[rows]))


def test_prediction_by_hand() -> None:
    """Two targets with probabilities 3/4 (right) and 1/4 (wrong)."""
    prediction = Prediction()
    prediction.update(seen())
    values = prediction.compute()
    loss = (math.log(4 / 3) + math.log(4)) / 2
    assert values["loss"].item() == pytest.approx(loss)
    assert values["bits"].item() == pytest.approx(loss / math.log(2))
    assert values["accuracy"].item() == 0.5


def test_batches_weigh_by_their_valid_targets() -> None:
    """Batches of 1 and 1 valid targets and one of none; the mean of batch means would be NaN."""
    whole, parts = Prediction(), Prediction()
    whole.update(seen())
    for rows in (slice(0, 1), slice(1, 3), slice(3, 4)):
        parts.update(seen(rows))
    torch.testing.assert_close(parts.compute(), whole.compute())


def test_no_target_at_all_has_no_value() -> None:
    prediction = Prediction()
    prediction.update(seen(slice(2, None)))
    assert all(value.isnan() for value in prediction.compute().values())


def test_a_density_has_no_bits_and_a_group_without_targets_no_value() -> None:
    values, here, storm, calm = torch.tensor([[1.0, 3.0], [True, True], [False, True], [False, False]])
    prediction = Prediction(("loss", "loss_storm", "loss_calm"), bits=False)
    groups = {"loss": here, "loss_storm": storm, "loss_calm": calm}
    prediction.update({name: Scored(values * group, group.bool()) for name, group in groups.items()})
    assert {name: float(value) for name, value in prediction.compute().items()} == {"loss": 2.0, "loss_storm": 3.0}


def test_a_forward_call_gives_the_batch_and_keeps_the_whole() -> None:
    prediction = Prediction()
    assert prediction(seen(slice(1)))["accuracy"].item() == 1.0
    assert prediction(seen(slice(1, None)))["accuracy"].item() == 0.0
    assert prediction.compute()["accuracy"].item() == 0.5


def _rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    rows = slice(0, 1) if rank == 0 else slice(1, 4)
    prediction, drift = Prediction(), Drift()
    prediction.update(seen(rows))
    memories = torch.arange(4.0).view(4, 1, 1, 1)[rows]
    drift.update(torch.zeros_like(memories), memories)
    torch.save({**prediction.compute(), **drift.compute()}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_with_uneven_batches_agree_with_one_process(tmp_path: Path) -> None:
    mp.spawn(_rank, (str(tmp_path),), nprocs=2)
    prediction, drift = Prediction(), Drift()
    prediction.update(seen())
    memories = torch.arange(4.0).view(4, 1, 1, 1)
    drift.update(torch.zeros_like(memories), memories)
    expected = {**prediction.compute(), **drift.compute()}
    for rank in range(2):
        values = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(values, expected)
