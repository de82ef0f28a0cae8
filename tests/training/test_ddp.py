"""Two gloo processes under the real Trainer compute what one process computes with the whole batch."""

import sys
from pathlib import Path

import pytest
import torch
from lightning import LightningDataModule, seed_everything
from lightning.pytorch.callbacks import Callback
from tiny import INTERFACE, LENGTH, NETWORK, random_batch
from torch.utils.data import DataLoader

from memtrain.batch import SequenceBatch
from memtrain.networks import NetworkOptions
from memtrain.networks.cells import ParaLSTMCell
from memtrain.training import BPTTModule, DMTModule, SMTModule, TeacherModule
from memtrain.trajectory import Detached, Newton, Picard, Windows

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")

PARA_LSTM = NetworkOptions(
    width=8, memory_tokens=2, heads=2, head_dimension=4, memory_normalization="tanh", cell=ParaLSTMCell
)
STAGES = {
    "teacher": (TeacherModule, {"uniformity_weight": 0.0}),
    "teacher, targets": (TeacherModule, {"uniformity_weight": 0.0, "timestep_sampling": "targets", "future_length": 2}),
    "smt": (SMTModule, {"uniformity_weight": 0.0}),
    "smt, frozen teacher": (SMTModule, {"freeze_teacher": True}),
    "dmt": (DMTModule, {"windows": Windows()}),
    "dmt, detached": (DMTModule, {"windows": Windows(), "trajectory": Detached()}),
    "dmt, windows": (DMTModule, {"windows": Windows(starts=3, length=2)}),
    "dmt, picard": (DMTModule, {"windows": Windows(), "trajectory": Picard(2)}),
    "bptt": (BPTTModule, {}),
    "bptt, newton": (BPTTModule, {"network": PARA_LSTM, "trajectory": Newton(tolerance=1e-13)}),
}


class Sharded(LightningDataModule):
    """One batch of four samples, of which rank r of n sees every n-th from r on."""

    def __init__(self, batch: SequenceBatch) -> None:
        super().__init__()
        self.batch = batch

    def train_dataloader(self) -> DataLoader:
        rank, ranks = self.trainer.global_rank, self.trainer.world_size
        return DataLoader([self.batch.map(lambda part: part[rank::ranks])], batch_size=None)


class Recorder(Callback):
    """Writes what each rank logs of the first step, its gradients and its cost to a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        gradients = {name: p.grad for name, p in module.named_parameters() if p.requires_grad}
        assert all(gradient is not None for gradient in gradients.values())
        logged = dict(trainer.callback_metrics)
        newton = {name: value for name, value in logged.items() if name.startswith("train/newton_")}
        flops = module.counters.sequential_flops
        content = {"loss": logged["train/loss"], "gradients": gradients, "flops": flops, "newton": newton}
        torch.save(content, self.folder / f"{trainer.global_rank}.pt")


def whole_batch(sparse: bool) -> SequenceBatch:
    """Four samples; of rank 1's, the second and the fourth, few targets are left, or, where `sparse`, none."""
    batch = random_batch(size=4)
    mask = batch.mask.clone()
    mask[1::2] = False
    mask[1, LENGTH - 2] = not sparse
    assert mask[::2].sum() > 3
    return batch._replace(mask=mask)


@pytest.fixture
def one_step(make_trainer, train, tmp_path):
    """What each of `ranks` processes finds in the first step of a stage, in float64."""
    source, count = None, 0

    def run(module_class, options, batch: SequenceBatch, ranks: int) -> list[dict]:
        nonlocal source, count
        options = {"interface": INTERFACE, "network": NETWORK, "clip": 0.0, **options}
        if module_class is DMTModule or "freeze_teacher" in options:
            source = source or train(SMTModule(interface=INTERFACE, network=NETWORK), "source", max_steps=1)
            options["init_from"] = str(source)
        count += 1
        folder = tmp_path / str(count)
        folder.mkdir()
        seed_everything(0, verbose=False)
        processes = {"strategy": "ddp_fork", "devices": 2} if ranks == 2 else {}
        trainer = make_trainer(1, [Recorder(folder)], precision="64-true", use_distributed_sampler=False, **processes)
        trainer.fit(module_class(**options), datamodule=Sharded(batch))
        return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(ranks)]

    return run


def assert_mean_of_ranks(ranks: list[dict], expected: dict) -> None:
    """Each rank logs the mean of all ranks' losses, and has the gradients of all."""
    exact = {"rtol": 1e-10, "atol": 1e-12}
    for rank in ranks:
        torch.testing.assert_close(rank["loss"], expected["loss"], **exact)
    for name, gradient in expected["gradients"].items():
        for rank in ranks:
            torch.testing.assert_close(rank["gradients"][name], gradient, **exact, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("stage", STAGES)
def test_two_ranks_have_the_loss_and_gradients_of_one_process(stage, one_step):
    batch = whole_batch(sparse=False)
    assert_mean_of_ranks(one_step(*STAGES[stage], batch, ranks=2), one_step(*STAGES[stage], batch, ranks=1)[0])


@pytest.mark.parametrize("stage", ["teacher, targets", "smt", "dmt", "bptt"])
def test_a_rank_without_any_target_still_takes_its_part(stage, one_step):
    batch = whole_batch(sparse=True)
    assert_mean_of_ranks(one_step(*STAGES[stage], batch, ranks=2), one_step(*STAGES[stage], batch, ranks=1)[0])


def test_what_newton_says_and_costs_is_of_all_ranks(one_step):
    batch = whole_batch(sparse=False)
    ranks, (whole,) = (one_step(*STAGES["bptt, newton"], batch, ranks=count) for count in (2, 1))
    for rank in ranks:
        assert rank["flops"] == whole["flops"]  # all wait for the sample that takes longest
        assert rank["newton"].keys() == whole["newton"].keys() >= {"train/newton_iterations", "train/newton_error"}
        for name, value in whole["newton"].items():
            torch.testing.assert_close(
                rank["newton"][name], value, check_dtype=False, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_uniformity_is_the_mean_of_each_ranks_own(one_step):
    """Its pairs are of one rank's memories, so two ranks are not one process with the whole batch."""
    stage = (TeacherModule, {"decoding_weight": 0.0, "uniformity_weight": 1.0})
    batch = whole_batch(sparse=False)
    shards = [one_step(*stage, batch.map(lambda part, r=rank: part[r::2]), ranks=1)[0] for rank in (0, 1)]
    expected = {
        "loss": (shards[0]["loss"] + shards[1]["loss"]) / 2,
        "gradients": {n: (g + shards[1]["gradients"][n]) / 2 for n, g in shards[0]["gradients"].items()},
    }
    assert abs(expected["loss"] - one_step(*stage, batch, ranks=1)[0]["loss"]) > 1e-3
    assert_mean_of_ranks(one_step(*stage, batch, ranks=2), expected)


@pytest.mark.parametrize(
    ("stage", "ranks", "micro_batches"),
    [*((stage, 1, 4) for stage in STAGES), *((stage, 2, 2) for stage in ("teacher, targets", "smt", "dmt", "bptt"))],
)
def test_micro_batches_have_the_loss_and_gradients_of_the_whole_batch(stage, ranks, micro_batches, one_step):
    """Of one sample each in the end, some of them without any target."""
    module_class, options = STAGES[stage]
    batch = whole_batch(sparse=True)
    parts = one_step(module_class, options | {"micro_batches": micro_batches}, batch, ranks)
    assert_mean_of_ranks([parts[0], parts[-1]], one_step(module_class, options, batch, ranks=1)[0])


def test_uniformity_is_the_mean_of_each_micro_batchs_own(one_step):
    options = {"decoding_weight": 0.0, "uniformity_weight": 1.0}
    batch = whole_batch(sparse=False)
    halves = [batch.map(lambda part, h=half: part[h]) for half in (slice(0, 2), slice(2, 4))]
    expected = [one_step(TeacherModule, options, half, ranks=1)[0]["loss"] for half in halves]
    (parts,) = one_step(TeacherModule, options | {"micro_batches": 2}, batch, ranks=1)
    torch.testing.assert_close(parts["loss"], (expected[0] + expected[1]) / 2)


def test_a_batch_that_micro_batches_do_not_divide_is_refused(one_step):
    with pytest.raises(ValueError, match=r"model.micro_batches is 3, but data.batch_size is 4; choose a divisor"):
        one_step(BPTTModule, {"micro_batches": 3}, whole_batch(sparse=False), ranks=1)
