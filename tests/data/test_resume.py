"""The order of training batches under a real Trainer: one process or two, straight through or interrupted."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from memtrain.batch import SequenceBatch
from memtrain.data import KeyValueRecall, RasterDataModule, Retrieval


class Recorder(LightningModule):
    """Trains nothing worth having; writes down the index of every batch it is given, one file a rank."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def record(self, kind: str, batch: SequenceBatch) -> None:
        with (self.folder / f"{kind}-{self.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps([batch.index.tolist(), batch.inputs.sum(1).tolist()]) + "\n")

    def training_step(self, batch: SequenceBatch) -> torch.Tensor:
        self.record("train", batch)
        return self.weight * batch.inputs.float().mean()

    def validation_step(self, batch: SequenceBatch) -> None:
        self.record("val", batch)

    def predict_step(self, batch: SequenceBatch) -> torch.Tensor:
        return batch.index

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(folder: Path, data: Any, steps: int, ckpt_path: Path | None = None, **options: Any) -> Trainer:
    folder.mkdir(exist_ok=True)
    trainer = Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_steps=steps,
        limit_val_batches=options.pop("limit_val_batches", 0),
        logger=False,
        enable_checkpointing="callbacks" in options,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(Recorder(folder), data, ckpt_path=ckpt_path, weights_only=True)
    return trainer


def recorded(folder: Path, kind: str = "train", rank: int = 0) -> list[Any]:
    return [json.loads(line) for line in (folder / f"{kind}-{rank}.jsonl").read_text().splitlines()]


def digits(folder: Path, **options: Any) -> RasterDataModule:
    return RasterDataModule(cache_folder=str(folder / "cache"), batch_size=400, **options)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("family", ["probe", "images"])
def test_a_resumed_run_continues_with_exactly_the_next_batch(tmp_path: Path, family: str, workers: int) -> None:
    def data() -> Any:
        if family == "probe":
            return KeyValueRecall(pairs=3, batch_size=300, workers=workers)
        return digits(tmp_path, workers=workers)

    fit(tmp_path / "straight", data(), 7)
    checkpoint = ModelCheckpoint(dirpath=tmp_path, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    fit(tmp_path / "broken", data(), 5, callbacks=[checkpoint])
    saved = torch.load(tmp_path / "step=3.ckpt", weights_only=True)
    assert saved[type(data()).__qualname__] == {"batches": 3, "samples": 3 * data().batch_size, "files": {}}

    fit(tmp_path / "resumed", data(), 7, ckpt_path=tmp_path / "step=3.ckpt")
    straight = recorded(tmp_path / "straight")
    assert recorded(tmp_path / "broken") == straight[:5]
    assert recorded(tmp_path / "resumed") == straight[3:]


def test_a_resumed_run_can_be_resumed_again(tmp_path: Path) -> None:
    def data() -> Retrieval:
        return Retrieval(batch_size=4)

    fit(tmp_path / "straight", data(), 9)
    fit(tmp_path / "run", data(), 3).save_checkpoint(tmp_path / "a.ckpt")
    fit(tmp_path / "run", data(), 5, ckpt_path=tmp_path / "a.ckpt").save_checkpoint(tmp_path / "b.ckpt")
    fit(tmp_path / "run", data(), 9, ckpt_path=tmp_path / "b.ckpt")
    assert recorded(tmp_path / "run") == recorded(tmp_path / "straight")


class SaveInTheMiddleOfAStep(Callback):
    """Saves when the batch has been fetched but not yet trained on, as a signal or an exception would."""

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == 3:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "middle.ckpt")


def test_a_batch_that_was_fetched_but_not_trained_on_is_not_lost(tmp_path: Path) -> None:
    fit(tmp_path / "straight", Retrieval(batch_size=4), 6, callbacks=[SaveInTheMiddleOfAStep()])
    fit(tmp_path / "resumed", Retrieval(batch_size=4), 6, ckpt_path=tmp_path / "straight" / "middle.ckpt")
    assert recorded(tmp_path / "resumed") == recorded(tmp_path / "straight")[3:]


def test_short_epochs_continue_the_stream(tmp_path: Path) -> None:
    trainer = fit(tmp_path, Retrieval(batch_size=2), 5, limit_train_batches=2)
    assert [index for index, _ in recorded(tmp_path)] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    fit(tmp_path, Retrieval(batch_size=2), 8, limit_train_batches=2, ckpt_path=tmp_path / "a.ckpt")
    assert [index for index, _ in recorded(tmp_path)][5:] == [[10, 11], [12, 13], [14, 15]]


def test_a_resumed_run_may_change_its_batch_size(tmp_path: Path) -> None:
    fit(tmp_path, Retrieval(batch_size=4), 2).save_checkpoint(tmp_path / "a.ckpt")
    fit(tmp_path, Retrieval(batch_size=3), 4, ckpt_path=tmp_path / "a.ckpt")
    assert [index for index, _ in recorded(tmp_path)][2:] == [[8, 9, 10], [11, 12, 13]]


def test_another_fit_with_the_same_data_starts_at_the_first_sample(tmp_path: Path) -> None:
    data = Retrieval(batch_size=4)
    fit(tmp_path, data, 2).save_checkpoint(tmp_path / "a.ckpt")
    fit(tmp_path, data, 3, ckpt_path=tmp_path / "a.ckpt")
    fit(tmp_path, data, 1)
    assert recorded(tmp_path)[-1] == recorded(tmp_path)[0]


def test_two_processes_share_the_batches_of_one(tmp_path: Path) -> None:
    # 13 evaluation samples, dealt to two ranks: 7 and 6 and one row that must not count.
    options: dict[str, Any] = {"limit_val_batches": 1.0, "num_sanity_val_steps": 1}
    fit(tmp_path / "one", Retrieval(batch_size=6, evaluation_samples=13), 4, **options)
    two = {"devices": 2, "strategy": "ddp_fork"} | options
    fit(tmp_path / "two", Retrieval(batch_size=3, evaluation_samples=13), 4, **two)

    one = [sorted(zip(*batch, strict=True)) for batch in recorded(tmp_path / "one")]
    ranks = [recorded(tmp_path / "two", rank=rank) for rank in (0, 1)]
    both = [
        sorted([*zip(*first, strict=True), *zip(*second, strict=True)]) for first, second in zip(*ranks, strict=True)
    ]
    assert both == one
    evaluated = [index for rank in (0, 1) for index in recorded(tmp_path / "two", "val", rank)[0][0]]
    assert sorted(evaluated) == [-1, *range(13)]


def test_a_row_that_fills_up_a_rank_has_no_target() -> None:
    batch = Retrieval(evaluation_samples=13).dataset("val").__getitems__([12, 13])
    assert batch.index.tolist() == [12, -1]
    assert batch.mask[0].sum() == 1
    assert not batch.mask[1].any()


def test_predicting_reads_the_test_split_once_in_order(tmp_path: Path) -> None:
    trainer = Trainer(default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_progress_bar=False)
    batches = trainer.predict(Recorder(tmp_path), Retrieval(evaluation_samples=10, evaluation_batch_size=4))
    assert [batch.tolist() for batch in batches or []] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_the_number_of_batches_does_not_depend_on_where_a_run_resumes() -> None:
    data = Retrieval(batch_size=4)
    before = len(data.train_dataloader())
    data.load_state_dict({"batches": 0, "samples": 40})
    assert len(data.train_dataloader()) == before
    assert next(iter(data.train_dataloader())).index.tolist() == [40, 41, 42, 43]
