"""Classes of images, named at the last pixel: where they come from, and the order of the pixels."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from memtrain.data import RasterDataModule, images
from memtrain.data.labels import label_of_folder, numbered
from memtrain.data.raster_rows import LabelDataset, pixel_order


def prepared(path: Path | None, cache_folder: str, **options: Any) -> RasterDataModule:
    data = RasterDataModule(
        path=None if path is None else str(path), cache_folder=cache_folder, **{"targets": "label", **options}
    )
    data.prepare_data()
    data.setup()
    return data


def idx_labels(labels: list[int]) -> bytes:
    return struct.pack(">II", 0x801, len(labels)) + bytes(labels)


def test_the_class_of_a_digit_is_the_only_target_and_stands_at_its_last_pixel(cache_folder: str) -> None:
    data = prepared(None, cache_folder, levels=17)  # 17 levels are those of the digits themselves
    assert data.class_names == list("0123456789")
    assert (data.vocabulary_size, data.classes, data.sequence_length) == (17, 10, 64)
    assert data.interface().outputs.score == "accuracy"  # type: ignore[attr-defined]
    known = {
        tuple(row.astype(int)): int(label) for row, label in zip(load_digits().data, load_digits().target, strict=True)
    }
    for split in ("train", "val", "test"):
        batch = data.dataset(split).__getitems__(range(80))
        assert batch.mask.nonzero()[:, 1].tolist() == [63] * 80
        found = [known[tuple(row)] for row in batch.inputs.tolist()]
        assert batch.targets[:, -1].tolist() == found


def test_labels_do_not_change_what_is_in_which_split(cache_folder: str) -> None:
    label, following = prepared(None, cache_folder), prepared(None, cache_folder, targets="next")
    for split in ("train", "val", "test"):
        assert np.array_equal(label.stream(split).tokens, following.stream(split).tokens)


def test_labels_of_idx_files_are_those_beside_the_images(labeled_idx: Path, cache_folder: str) -> None:
    data = prepared(labeled_idx, cache_folder, image_size=4, levels=256)
    for split, count in (("train", 30), ("val", 5), ("test", 5)):
        batch = data.dataset(split).__getitems__(range(count))
        assert (batch.targets[:, -1] == batch.inputs[:, 0] % 10).all()
    classes = data.dataset("train").__getitems__(range(30)).targets[:, -1]
    assert classes.bincount().tolist() == [3] * 10


def test_labels_of_folders_are_their_names(sketches: Path, cache_folder: str) -> None:
    data = prepared(sketches, cache_folder, levels=256, held_out=0.3)
    assert data.class_names == ["ant", "zebra"]
    batch = data.dataset("train").__getitems__(range(42))
    assert torch.equal(batch.targets[:, -1], (batch.inputs[:, 0] >= 100).long())


@pytest.mark.parametrize(
    ("file", "label"),
    [("cat/a.png", "cat"), ("train/cat/a.png", "cat"), ("cat/train/a.png", "cat"), ("Test/cat/old/a.png", "cat")],
)
def test_a_class_is_the_folder_below_that_of_a_split(file: str, label: str, tmp_path: Path) -> None:
    assert label_of_folder(tmp_path / file, tmp_path) == label


def test_labels_of_archives_are_an_array_of_integers_or_strings(tmp_path: Path, cache_folder: str) -> None:
    pixels = np.arange(40, dtype=np.uint8)[:, None, None] + np.zeros((1, 2, 2), np.uint8)
    for dtype in (np.int64, str):
        labels = np.arange(40) % 2 * 7
        np.savez(tmp_path / "drawings.npz", images=pixels, labels=labels.astype(dtype))
        data = prepared(tmp_path, cache_folder, image_size=2, levels=256)
        assert data.class_names == ["0", "7"]
        batch = data.dataset("train").__getitems__(range(36))
        assert torch.equal(batch.targets[:, -1], batch.inputs[:, 0] % 2)


def test_labels_of_the_hub_are_its_column(monkeypatch: pytest.MonkeyPatch, cache_folder: str) -> None:
    rows = [{"image": Image.new("L", (2, 2), 10 * n), "label": n % 2} for n in range(20)]
    monkeypatch.setattr(images, "hub_splits", lambda path, subset: {"train": rows})
    options: dict[str, Any] = {"targets": "label", "image_size": 2, "levels": 256, "cache_folder": cache_folder}
    data = RasterDataModule(path="someone/digits", **options)
    assert data.classes == 2
    data.setup()
    batch = data.dataset("train").__getitems__(range(18))
    assert torch.equal(batch.targets[:, -1], batch.inputs[:, 0] // 10 % 2)
    for wrong, sentence in (({}, "has only the columns image; choose"), ({"label": -1}, "holds -1 there; choose")):
        rows[3] = {"image": rows[3]["image"], **wrong}
        with pytest.raises(
            ValueError, match=rf"column 'label', but row 3 of someone/{len(wrong)}, split train, {sentence}"
        ):
            RasterDataModule(path=f"someone/{len(wrong)}", **options).prepare_data()


def test_classes_are_known_before_the_data_are_prepared(labeled_idx: Path, cache_folder: str) -> None:
    data = RasterDataModule(str(labeled_idx), image_size=4, targets="label", cache_folder=cache_folder)
    assert data.interface().outputs.classes == 10  # type: ignore[attr-defined]


def test_a_change_of_the_labels_alone_is_seen(labeled_idx: Path, cache_folder: str) -> None:
    prepared(labeled_idx, cache_folder, image_size=4)
    (labeled_idx / "train-labels-idx1-ubyte.gz").write_bytes(idx_labels([(n + 1) % 10 for n in range(30)]))
    data = prepared(labeled_idx, cache_folder, image_size=4, levels=256)
    batch = data.dataset("train").__getitems__(range(30))
    assert (batch.targets[:, -1] == (batch.inputs[:, 0] + 1) % 10).all()


def test_the_most_frequent_class_of_training_is_chance(tmp_path: Path, cache_folder: str) -> None:
    draw = np.random.default_rng(0)
    for split, labels in (("train", [3] * 6 + [5] * 4), ("val", [3, 5]), ("test", [3, 5, 5, 5])):
        pixels = draw.integers(0, 256, (len(labels), 2, 2), np.uint8)
        np.savez(tmp_path / f"{split}.npz", images=pixels, labels=np.array(labels))
    data = prepared(tmp_path, cache_folder, image_size=2)
    assert data.reference_lines() == {"chance": 0.25}


# The order of the pixels.


@given(pixels=st.integers(4, 100), seed=st.integers(0, 2**32 - 1))
def test_a_permutation_is_an_order_of_all_pixels_and_its_seed_gives_it_again(pixels: int, seed: int) -> None:
    order = pixel_order(pixels, seed)
    assert sorted(order) == list(range(pixels))
    assert np.array_equal(order, pixel_order(pixels, seed))


def test_the_permutation_of_a_seed_is_the_same_forever() -> None:
    assert pixel_order(8, 0).tolist() == [2, 4, 3, 6, 5, 0, 1, 7]


def test_every_split_has_the_same_order_of_pixels(cache_folder: str) -> None:
    plain, permuted = prepared(None, cache_folder), prepared(None, cache_folder, permute=7)
    order = pixel_order(64, 7)
    for split in ("train", "val", "test"):
        a, b = (data.dataset(split).__getitems__(range(50)) for data in (plain, permuted))
        assert torch.equal(a.inputs[:, order], b.inputs)
        assert torch.equal(a.targets[:, -1], b.targets[:, -1])
    assert not torch.equal(a.inputs, b.inputs)


def test_permuted_pixels_can_be_predicted_and_are_drawn_where_they_belong(labeled_idx: Path, cache_folder: str) -> None:
    data = prepared(None, cache_folder, targets="next", permute=3)
    batch = data.dataset("test").__getitems__(range(5))
    assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    plain = prepared(None, cache_folder, targets="next")
    assert torch.equal(data.render(batch.targets), plain.render(plain.dataset("test").__getitems__(range(5)).targets))
    order = pixel_order(64, 3)
    two_and_one = torch.cat([torch.zeros(1, 128, dtype=torch.long), torch.full((1, 1), 15)], dim=1)
    (where,) = data.render(two_and_one).reshape(-1).nonzero()
    assert where == 128 + order[0]
    assert data.reference_lines()["unigram_entropy"] == pytest.approx(plain.reference_lines()["unigram_entropy"])


def test_images_of_two_splits_are_still_found_to_be_the_same(tmp_path: Path, cache_folder: str) -> None:
    same = np.random.default_rng(0).integers(0, 256, (4, 4, 4), np.uint8)
    for split in ("train", "test"):
        np.savez(tmp_path / f"{split}.npz", images=same, labels=np.arange(4) % 2)
    with pytest.warns(UserWarning, match="occur in its training split too"):
        prepared(tmp_path, cache_folder, image_size=4, permute=1)


@given(
    seed=st.integers(0, 100),
    shift=st.integers(1, 5),
)
def test_the_class_is_not_in_the_inputs(seed: int, shift: int) -> None:
    class Stream:
        def __len__(self) -> int:
            return 3 * 4

        def windows(self, starts: np.ndarray, length: int) -> np.ndarray:
            return np.arange(12).reshape(3, 4)[starts // 4]

    indices = np.arange(3)
    rows = [
        LabelDataset(classes, Stream(), pixel_order(4, seed), 0, "test", 3).rows(indices)  # type: ignore[arg-type]
        for classes in (np.arange(3), np.arange(3) + shift)
    ]
    assert np.array_equal(rows[0][0], rows[1][0])
    assert np.array_equal(rows[0][1][:, :-1], np.full((3, 3), -100))
    assert np.array_equal(rows[0][1][:, -1] + shift, rows[1][1][:, -1])


# Refusals.


def refusal(path: Path | None, cache_folder: str, **options: Any) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the sentence is what is looked at
        prepared(path, cache_folder, image_size=4, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_and_damaged_files_of_labels_are_refused(labeled_idx: Path, cache_folder: str) -> None:
    labels = labeled_idx / "t10k-labels-idx1-ubyte"
    labels.write_bytes(idx_labels([1, 2, 3]))
    said = refusal(labeled_idx, cache_folder)
    assert f"{labels} has 3 labels for the 10 images of {labeled_idx / 't10k-images-idx3-ubyte.gz'}; give one" in said
    labels.write_bytes(idx_labels([1, 2, 3])[:-1])
    assert "its header says 3 labels, but only 2 bytes follow); fetch it again." in refusal(labeled_idx, cache_folder)
    labels.write_bytes(b"\0\0\x08\x03" + bytes(12))
    assert "not 0x00000801: it holds unsigned bytes in 3 dimensions, and what" in refusal(labeled_idx, cache_folder)
    labels.unlink()
    assert "has no t10k-labels-idx1-ubyte(.gz) beside it; fetch that file, or" in refusal(labeled_idx, cache_folder)


def test_images_without_a_folder_are_refused(sketches: Path, cache_folder: str) -> None:
    (file,) = sketches.glob("ant/n0_0-0.png")
    file.rename(sketches / "loose.png")
    assert "loose.png lies in no folder of a class; sort the images of" in refusal(sketches, cache_folder)
    (sketches / "loose.png").rename(sketches / "single.png")
    assert "single.png lies in no folder of a class" in refusal(sketches / "single.png", cache_folder)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({}, "has no array `labels`; store the class"),
        ({"labels": np.zeros(20)}, "has `labels` of float64 [20]; store the class"),
        ({"labels": np.zeros((20, 1), int)}, "has `labels` of int64 [20, 1]; store the class"),
        ({"labels": np.zeros(19, int)}, "has 19 labels for the 20 images of"),
        ({"labels": np.zeros(20, int)}, "are of class '0', so that there is nothing to tell apart; give"),
    ],
)
def test_archives_without_labels_are_refused(
    arrays: dict[str, Any], reason: str, tmp_path: Path, cache_folder: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 2, 2), np.uint8)
    np.savez(tmp_path / "drawings.npz", images=pixels, **arrays)
    assert reason in refusal(tmp_path, cache_folder)


def test_a_class_without_a_training_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="The test split of here has class '10', of which there is no training sample"):
        numbered({"train": ["2", "b", "a"], "val": ["2"], "test": ["a", "10"]}, "here")
    names, classes = numbered({"train": ["10", "b", "2", "a"], "test": ["b", "2"]}, "here")
    assert names == ["2", "10", "a", "b"]
    assert classes["test"].tolist() == [3, 0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"targets": "class"}, "data.targets is 'class', but must be next or label; choose one of them."),
        ({"permute": -1}, "data.permute is -1, but must lie between 0 and 4294967295; choose for example 0."),
        (
            {"targets": "label", "crop_length": 9},
            "data.targets is label, which needs whole images; leave data.crop_length out.",
        ),
        ({"permute": 5, "crop_length": 9}, "data.permute is 5, which needs whole images; leave data.crop_length out."),
    ],
)
def test_bad_options_are_refused_in_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        RasterDataModule(**options)
    assert str(caught.value) == sentence


def test_real_mnist_has_its_labels(real_data: Path, cache_folder: str) -> None:
    data = prepared(real_data / "mnist", cache_folder, image_size=7, permute=0)
    assert data.class_names == list("0123456789")
    assert 0.08 < data.reference_lines()["chance"] < 0.15
    pixels = data.stream("train").tokens.reshape(-1, 49).astype(float)
    test = data.stream("test").tokens.reshape(-1, 49).astype(float)
    means = np.stack([pixels[data.labels("train") == digit].mean(0) for digit in range(10)])
    nearest = ((test[:, None] - means) ** 2).sum(2).argmin(1)
    assert (nearest == data.labels("test")).mean() > 0.6  # labels belong to their images
