"""The callbacks in a tiny run: what lands in the event file, and that nothing happens without one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from memtrain.callbacks import Axes, DriftCurve, MemoryGeometry, Samples
from memtrain.callbacks.samples import image_grid
from memtrain.data import RasterDataModule, Retrieval, SequenceDataModule
from memtrain.networks import NetworkOptions
from memtrain.training import BaselineModule, BPTTModule, SMTModule, StageModule

NETWORK = NetworkOptions(width=8, memory_tokens=2, heads=2, head_dimension=4, encoder_layers=1)
CALLBACKS: list[Callback] = [Axes(), DriftCurve(), MemoryGeometry(points=50), Samples(samples=4)]


def run(stage: type[StageModule], data: SequenceDataModule, folder: Path, logger: Any, **options: Any) -> StageModule:
    """Six steps with a validation every three."""
    module = stage(interface=data.interface(), network=NETWORK, **options)
    trainer = Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_steps=6,
        val_check_interval=3,
        check_val_every_n_epoch=None,
        logger=logger,
        callbacks=CALLBACKS,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data)
    return module


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0, "scalars": 0}).Reload()


@pytest.fixture(scope="module")
def retrieval(tmp_path_factory: pytest.TempPathFactory) -> tuple[StageModule, EventAccumulator, Path]:
    folder = tmp_path_factory.mktemp("retrieval")
    data = Retrieval(length=12, batch_size=4, evaluation_samples=8, evaluation_batch_size=5)
    module = run(SMTModule, data, folder, TensorBoardLogger(folder, name="", version=""))
    return module, read(folder), folder


def test_each_validation_metric_is_copied_to_every_axis(
    retrieval: tuple[StageModule, EventAccumulator, Path],
) -> None:
    _, events, _ = retrieval
    names = [name for name in events.Tags()["scalars"] if name.startswith("val/")]
    assert "val/rollout/accuracy" in names
    for name in names:
        values = [event.value for event in events.Scalars(name)]
        for axis in ("by_steps", "by_tokens", "by_seconds", "by_sequential_flops"):
            assert [event.value for event in events.Scalars(f"{axis}/{name}")] == values


def test_the_step_of_a_copy_is_the_counter(retrieval: tuple[StageModule, EventAccumulator, Path]) -> None:
    """Six steps of 4 sequences of 12 tokens, seen after three and after six."""
    module, events, _ = retrieval

    def steps(axis: str) -> list[int]:
        return [event.step for event in events.Scalars(f"{axis}/val/rollout/accuracy")]

    assert steps("by_steps") == [3, 6]
    assert steps("by_tokens") == [144, 288]
    flops = module.counters.sequential_flops
    assert steps("by_sequential_flops") == [flops // 2, flops]
    assert steps("by_seconds")[-1] == int(module.counters.train_seconds)


def test_the_custom_scalars_layout_names_curves_that_exist(
    retrieval: tuple[StageModule, EventAccumulator, Path],
) -> None:
    from memtrain.callbacks.axes import LAYOUT

    _, events, _ = retrieval
    assert "custom_scalars__config__" in events.Tags()["tensors"]
    wanted = {tag for charts in LAYOUT.values() for _, tags in charts.values() for tag in tags}
    of_baselines = {tag for tag in wanted if f"/{BaselineModule.readings[-1]}/" in tag}
    assert of_baselines
    assert wanted - of_baselines <= set(events.Tags()["scalars"])


def test_the_drift_curve_is_drawn_at_each_validation(
    retrieval: tuple[StageModule, EventAccumulator, Path],
) -> None:
    _, events, _ = retrieval
    assert [event.step for event in events.Images("drift/curve")] == [3, 6]


def test_memories_are_written_with_their_colors(
    retrieval: tuple[StageModule, EventAccumulator, Path],
) -> None:
    """50 memories of 2 x 8 numbers: four sequences of 12 and the first two of a fifth."""
    _, _, folder = retrieval
    for name in ("teacher", "rollout"):
        (metadata,) = folder.rglob(f"*memory*{name}/metadata.tsv")
        header, *rows = metadata.read_text().splitlines()
        assert header.split("\t") == ["sequence", "timestep", "label"]
        assert len(rows) == 50
        assert rows[49].split("\t")[:2] == ["4", "1"]
        points = (metadata.parent / "tensors.tsv").read_text().splitlines()
        assert len(points) == 50
        assert len(points[0].split("\t")) == 16


def test_probes_have_no_samples(retrieval: tuple[StageModule, EventAccumulator, Path]) -> None:
    tags = retrieval[1].Tags()
    assert "drift/curve" in tags["images"]
    assert not [tag for tag in (*tags["images"], *tags["tensors"]) if tag.startswith("samples")]


def test_images_are_drawn_by_the_rnn_at_each_validation(tmp_path: Path) -> None:
    data = RasterDataModule(image_size=4, batch_size=4, evaluation_samples=8, cache_folder=str(tmp_path))
    run(BPTTModule, data, tmp_path, TensorBoardLogger(tmp_path, name="", version=""))
    events = read(tmp_path)
    images = events.Images("samples")
    assert [image.step for image in images] == [3, 6]
    side = 2 * (data.image_size + 1) + 1  # four images in a square, a line around each
    assert (images[0].height, images[0].width) == (side, side)
    assert "drift/curve" not in events.Tags()["images"]  # there is no teacher


def test_what_names_the_classes_of_images_draws_none(tmp_path: Path) -> None:
    options: dict[str, Any] = {"image_size": 4, "batch_size": 4, "evaluation_samples": 8}
    data = RasterDataModule(**options, targets="label", cache_folder=str(tmp_path / "cache"))
    run(BPTTModule, data, tmp_path, TensorBoardLogger(tmp_path, name="", version=""))
    assert "samples" not in read(tmp_path).Tags()["images"]


@pytest.mark.parametrize("logger", [False, "csv"])
def test_without_tensorboard_nothing_is_computed(
    logger: str | bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("computed for nobody")

    monkeypatch.setattr("memtrain.callbacks.samples.generate_tokens", fail)
    monkeypatch.setattr(SequenceDataModule, "memory_labels", fail)  # only the memory geometry asks for them
    monkeypatch.setattr("memtrain.callbacks.drift_curve.Figure", fail)
    data = RasterDataModule(image_size=4, batch_size=4, evaluation_samples=8, cache_folder=str(tmp_path))
    run(SMTModule, data, tmp_path, CSVLogger(tmp_path) if logger == "csv" else False)


def test_an_image_grid_by_hand() -> None:
    """Three images of one pixel in two columns; 128 is the frame."""
    grid = image_grid(torch.tensor([1, 2, 3], dtype=torch.uint8).view(3, 1, 1))
    assert grid.tolist() == [
        [128, 128, 128, 128, 128],
        [128, 1, 128, 2, 128],
        [128, 128, 128, 128, 128],
        [128, 3, 128, 128, 128],
        [128, 128, 128, 128, 128],
    ]
