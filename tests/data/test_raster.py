"""Images from local files in the formats a user would have."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from memtrain.data import RasterDataModule
from memtrain.data.gray import to_levels
from memtrain.data.idx import read_idx


def prepared(path: Path | None, cache_folder: str, **options: object) -> RasterDataModule:
    data = RasterDataModule(path=None if path is None else str(path), cache_folder=cache_folder, **options)
    data.prepare_data()
    data.setup()
    return data


def test_the_built_in_digits_need_no_files(cache_folder: str) -> None:
    data = prepared(None, cache_folder)
    assert (data.vocabulary_size, data.sequence_length, data.modality) == (16, 64, "image")
    counts = [len(data.stream(split)) // 64 for split in ("train", "val", "test")]
    assert counts == [1617, 90, 90]
    images = data.stream("train").tokens
    assert images.min() == 0
    assert images.max() == 15


def test_every_pixel_is_predicted_from_those_before_it(cache_folder: str) -> None:
    data = prepared(None, cache_folder)
    batch = next(iter(data.train_dataloader()))
    assert (batch.inputs[:, 0] == data.start_token).all()
    assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    pixels = data.stream("train").tokens.reshape(-1, 64)
    assert all((pixels == row.numpy()).all(1).any() for row in batch.targets)


def test_training_passes_through_all_images_again_and_again(idx_folder: Path, cache_folder: str) -> None:
    data = prepared(idx_folder, cache_folder, image_size=4, levels=256)
    grays = data.dataset("train").__getitems__(range(60)).targets[:, 0].tolist()
    assert sorted(grays[:30]) == sorted(grays[30:]) == list(range(30))
    assert grays[:30] != grays[30:]


def test_idx_files_keep_their_own_test_split(idx_folder: Path, cache_folder: str) -> None:
    data = prepared(idx_folder, cache_folder, image_size=4, levels=256)
    val, test = (data.stream(split).tokens[::16].tolist() for split in ("val", "test"))
    assert len(val) == len(test) == 5
    assert sorted(val + test) == list(range(10))  # the ten images of t10k


def test_an_unpacked_idx_file_is_not_read_twice(idx_folder: Path, cache_folder: str) -> None:
    packed = idx_folder / "train-images-idx3-ubyte.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    data = prepared(idx_folder, cache_folder, image_size=4, levels=256)
    assert len(data.stream("train")) == 30 * 16


def test_drawings_of_one_photo_stay_in_one_split(sketches: Path, cache_folder: str) -> None:
    data = prepared(sketches, cache_folder, split_by="photo", levels=256, held_out=0.3)
    photos = {split: set(data.stream(split).tokens.tolist()) for split in ("train", "val", "test")}
    assert {split: len(grays) for split, grays in photos.items()} == {"train": 14, "val": 3, "test": 3}
    assert len(set.union(*photos.values())) == 20
    assert len(data.stream("test")) == 3 * 3 * 64


def test_splitting_by_file_separates_drawings(sketches: Path, cache_folder: str) -> None:
    data = prepared(sketches, cache_folder, split_by="file", held_out=0.3)
    assert [len(data.stream(split)) // 64 for split in ("train", "val", "test")] == [42, 9, 9]


def test_folders_called_train_and_test_are_splits(sketches: Path, cache_folder: str, tmp_path: Path) -> None:
    (tmp_path / "sorted").mkdir()
    (sketches / "ant").rename(tmp_path / "sorted" / "train")
    (sketches / "zebra").rename(tmp_path / "sorted" / "test")
    data = prepared(tmp_path / "sorted", cache_folder, levels=256)
    assert data.stream("train").tokens.max() == 90
    assert min(data.stream(split).tokens.min() for split in ("val", "test")) == 100


def test_archives_of_images_are_read(tmp_path: Path, cache_folder: str) -> None:
    np.savez(tmp_path / "drawings.npz", images=np.full((20, 6, 6), 255, np.uint8), labels=np.zeros(20))
    data = prepared(tmp_path, cache_folder, image_size=6, levels=8)
    assert (data.stream("train").tokens == 7).all()


def test_crops_run_across_the_borders_of_images(idx_folder: Path, cache_folder: str) -> None:
    data = prepared(idx_folder, cache_folder, image_size=4, levels=256, crop_length=24)
    assert data.sequence_length == 24
    batch = data.dataset("train").__getitems__(range(50))
    assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    assert all(2 <= len(set(row)) <= 3 for row in batch.inputs.tolist())
    assert data.reference_lines()["unigram_entropy"] == pytest.approx(np.log(5))


def test_grays_of_16_bits_keep_their_share_of_full_brightness() -> None:
    image = Image.fromarray(np.array([[0, 1000], [30000, 65535]], np.uint16))
    assert to_levels(image, 2, 256, 0.0, False).tolist() == [0, 4, 117, 255]  # 1000 / 257 = 3.9, 30000 / 257 = 116.7


def test_grey_levels_worked_by_hand() -> None:
    image = Image.fromarray(np.array([[0, 255], [128, 60]], np.uint8))
    # brightness 0, 1, 0.502, 0.235 times 3, rounded
    assert to_levels(image, 2, 4, 0.0, False).tolist() == [0, 3, 2, 1]
    assert to_levels(image, 2, 4, 0.3, False).tolist() == [0, 3, 2, 0]
    assert to_levels(image, 2, 4, 0.0, True).tolist() == [3, 0, 1, 2]
    assert to_levels(image, 2, 256, 0.0, False).tolist() == [0, 255, 128, 60]
    assert to_levels(image, 1, 256, 0.0, False).tolist() == [111]  # the mean, 110.75


def test_transparency_is_laid_on_white() -> None:
    assert to_levels(Image.new("RGBA", (2, 2), (0, 0, 0, 0)), 2, 256, 0.0, False).tolist() == [255] * 4


def test_bigram_entropy_knows_the_left_and_the_upper_pixel(tmp_path: Path, cache_folder: str) -> None:
    # Each pixel is (left + upper) mod 2 but for a random first row and column of 7 + 8 pixels.
    draw = np.random.default_rng(0)
    images = draw.integers(0, 2, (400, 8, 8))
    for row in range(1, 8):
        for column in range(1, 8):
            images[:, row, column] = (images[:, row, column - 1] + images[:, row - 1, column]) % 2
    np.savez(tmp_path / "rule.npz", images=(images * 255).astype(np.uint8))
    lines = prepared(tmp_path, cache_folder, levels=2, held_out=0.5).reference_lines()
    assert lines["unigram_entropy"] == pytest.approx(np.log(2), abs=0.01)
    # 49 of 64 pixels follow the rule exactly: what is left is the entropy of "random or by the rule"
    agree = (49 + 15 / 2) / 64
    expected = -(agree * np.log(agree) + (1 - agree) * np.log(1 - agree))
    assert lines["bigram_entropy"] == pytest.approx(expected, abs=0.03)


def test_rendering_gives_back_the_image(idx_folder: Path) -> None:
    data = RasterDataModule(path=str(idx_folder), image_size=2, levels=4)
    images = data.render(torch.tensor([[0, 1, 2, 3], [3, 3, 0, 0]]))
    assert images.dtype == torch.uint8
    assert images.tolist() == [[[0, 85], [170, 255]], [[255, 255], [0, 0]]]
    assert data.render(torch.tensor([[3, 3, 3]])).tolist() == [[[255, 255], [255, 0]]]
    assert data.encode_prompt("").tolist() == [0]
    with pytest.raises(ValueError, match="images are generated from a start pixel"):
        data.encode_prompt("a seven")


def refusal(path: Path, cache_folder: str, **options: object) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        prepared(path, cache_folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_wrong_and_empty_paths_are_refused_in_one_sentence(tmp_path: Path, cache_folder: str) -> None:
    assert "none, which does not exist" in refusal(tmp_path / "none", cache_folder)
    (tmp_path / "empty").mkdir()
    assert "which holds no images; give a folder of images" in refusal(tmp_path / "empty", cache_folder)


def test_damaged_files_are_refused_in_one_sentence(sketches: Path, idx_folder: Path, cache_folder: str) -> None:
    (sketches / "ant" / "n0_0-0.png").write_bytes(b"not a picture")
    assert "n0_0-0.png is not a readable image" in refusal(sketches, cache_folder)
    file = idx_folder / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:40])
    assert "train-images-idx3-ubyte.gz is not a readable gzip file" in refusal(idx_folder, cache_folder)
    file.write_bytes(gzip.compress(b"\0\0\x08\x01" + bytes(20)))
    with pytest.raises(ValueError, match="its first four bytes are 0x00000801, not 0x00000803"):
        read_idx(file)
    np.savez(sketches / "pictures.npz", pictures=np.zeros((3, 2, 2)))
    assert "has no array `images` of uint8" in refusal(sketches, cache_folder)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_damaged_archive_is_refused_in_one_sentence(kept: int, tmp_path: Path, cache_folder: str) -> None:
    file = tmp_path / "cat.npz"
    np.savez_compressed(file, images=np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8))
    content = bytearray(file.read_bytes())
    content[200:300] = bytes(100)
    file.write_bytes([b"", content[: len(content) // 2], content][kept])  # empty, truncated, garbled
    assert "cat.npz is not a readable NumPy archive" in refusal(file, cache_folder)


def test_a_reason_of_several_lines_becomes_one(
    sketches: Path, cache_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise OSError("It broke.\n  - here\n  - and there.\n")

    monkeypatch.setattr("memtrain.data.images.Image.open", fail)
    sentence = "is not a readable image (It broke. - here - and there); repair or remove it."
    assert refusal(sketches, cache_folder).endswith(f"n0_0-0.png {sentence}")


def test_too_few_images_are_refused_in_one_sentence(sketches: Path, cache_folder: str) -> None:
    for file in sketches.glob("*/*_[1-9]-*.png"):
        file.unlink()
    sentence = refusal(sketches, cache_folder, split_by="photo")
    assert "whose images form 2 groups, which leaves none for the train split" in sentence
    assert "set data.split_by to file" in sentence


def test_bad_options_are_refused_in_one_sentence() -> None:
    for options, sentence in (
        ({"image_size": 0}, "data.image_size is 0, but must be at least 2; choose for example 8."),
        ({"levels": 300}, "data.levels is 300, but must lie between 2 and 256; choose for example 16."),
        ({"threshold": -1}, "data.threshold is -1, but must lie between 0 and 0.99"),
        ({"crop_length": 0}, "data.crop_length is 0, but must be at least 1"),
        ({"split_by": "class"}, "data.split_by is 'class', but must be photo or file"),
    ):
        with pytest.raises(ValueError, match=sentence):
            RasterDataModule(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options", "counts"),
    [
        ("mnist", {"image_size": 14}, [7000, 500, 500]),
        ("quickdraw", {"image_size": 14}, [7200, 400, 400]),
        ("sketchy", {"image_size": 16, "invert": True}, None),
    ],
)
def test_real_images_load(
    real_data: Path, cache_folder: str, name: str, options: dict[str, object], counts: list[int] | None
) -> None:
    data = prepared(real_data / name, cache_folder, levels=8, **options)
    found = [len(data.stream(split)) // data.sequence_length for split in ("train", "val", "test")]
    assert found == counts if counts else sum(found) == 2500
    lines = data.reference_lines()
    assert 0.3 < lines["bigram_entropy"] < lines["unigram_entropy"] < np.log(8)
