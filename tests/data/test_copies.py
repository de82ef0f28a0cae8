"""A file that is there twice counts once, and evaluation on what was trained on is told."""

import gzip
import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from memtrain.data import RasterDataModule, SequenceDataModule, TextDataModule
from memtrain.data.repeats import repeated_windows, row_hashes


def prepared(data: RasterDataModule | TextDataModule) -> list[str]:
    """Prepare data and make their splits; return what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data.prepare_data()
        data.setup()
    return [str(warning.message) for warning in caught]


def images_of(data: RasterDataModule) -> list[tuple[int, ...]]:
    """All images of all splits, in order of their pixels."""
    splits = [data.stream(split).tokens.reshape(-1, data.image_size**2) for split in ("train", "val", "test")]
    return sorted(tuple(image) for image in np.concatenate(splits).tolist())


def same_name_with_a_dot(folder: Path) -> None:
    again = folder / "train-images-idx3-ubyte"
    again.mkdir()
    shutil.copy(folder / "train-images.idx3-ubyte", again / "train-images-idx3-ubyte")


def packed_beside_unpacked(folder: Path) -> None:
    file = folder / "train-images.idx3-ubyte"
    file.with_name("train-images.idx3-ubyte.gz").write_bytes(gzip.compress(file.read_bytes()))


def a_copy(folder: Path) -> None:
    shutil.copy(folder / "train-images.idx3-ubyte", folder / "train-images.idx3-ubyte (copy)")


def two_folders(folder: Path) -> None:
    shutil.copytree(folder, folder / "archive")


def a_link(folder: Path) -> None:
    (folder / "training-images-idx3-ubyte").symlink_to(folder / "train-images.idx3-ubyte")


def a_linked_folder(folder: Path) -> None:
    outside = folder.with_name("outside")
    shutil.copytree(folder, outside)
    (folder / "linked").symlink_to(outside)


WAYS = [same_name_with_a_dot, packed_beside_unpacked, a_copy, two_folders, a_link, a_linked_folder]


@pytest.mark.parametrize("again", WAYS)
def test_an_idx_file_that_is_there_twice_counts_once(
    again: Callable[[Path], None], tmp_path: Path, cache_folder: str
) -> None:
    folder = tmp_path / "kaggle"
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 4), np.uint8)
    header = np.array([0x803, 30, 4, 4], ">u4").tobytes()
    (folder / "train-images.idx3-ubyte").write_bytes(header + images.tobytes())
    again(folder)
    data = RasterDataModule(path=str(folder), image_size=4, levels=256, cache_folder=cache_folder)
    (said,) = prepared(data)
    assert images_of(data) == sorted(tuple(image) for image in images.reshape(30, 16).tolist())
    assert said.startswith("1 of 2 files have the content of another and were left out, for example ")


def test_an_image_in_two_folders_is_in_one_split(sketches: Path, cache_folder: str) -> None:
    shutil.copytree(sketches / "ant", sketches / "all" / "ant")
    shutil.copytree(sketches / "zebra", sketches / "all" / "zebra")
    data = RasterDataModule(path=str(sketches), levels=256, cache_folder=cache_folder)
    (said,) = prepared(data)
    assert said.startswith("60 of 120 files")
    assert len(images_of(data)) == 60
    grays = [set(data.stream(split).tokens.tolist()) for split in ("train", "val", "test")]
    assert sum(len(gray) for gray in grays) == len(set.union(*grays)) == 20


def test_a_numpy_archive_that_is_there_twice_counts_once(bitmaps: Path, cache_folder: str) -> None:
    shutil.copy(bitmaps / "cat.npz", bitmaps / "cat copy.npz")
    data = RasterDataModule(path=str(bitmaps), image_size=28, cache_folder=cache_folder)
    assert len(prepared(data)) == 1
    assert len(images_of(data)) == 40


@pytest.mark.parametrize("name", ["b.txt", "more/a.txt", "a.txt.gz", "A.TXT"])
def test_a_text_that_is_there_twice_counts_once(name: str, tmp_path: Path, cache_folder: str) -> None:
    folder = tmp_path / "text"
    (folder / "more").mkdir(parents=True)
    (folder / "a.txt").write_text("once upon a time")
    (folder / name).write_bytes(gzip.compress(b"once upon a time") if name.endswith(".gz") else b"once upon a time")
    data = TextDataModule(path=str(folder), length=1, held_out=0.5, cache_folder=cache_folder)
    assert len(prepared(data)) == 1
    assert b"".join(data.stream(split).tokens.tobytes() for split in ("train", "val", "test")) == b"once upon a time\0"


def test_files_of_one_name_and_other_content_are_refused(idx_folder: Path, cache_folder: str) -> None:
    header = np.array([0x803, 1, 4, 4], ">u4").tobytes()
    (idx_folder / "train-images.idx3-ubyte").write_bytes(header + bytes(16))
    with pytest.raises(ValueError, match=r"have one name, but differ in content; remove or rename one\.$"):
        prepared(RasterDataModule(path=str(idx_folder), cache_folder=cache_folder))


def test_a_link_to_the_folder_itself_is_not_followed_for_ever(sketches: Path, cache_folder: str) -> None:
    (sketches / "ant" / "back").symlink_to(sketches)
    data = RasterDataModule(path=str(sketches), levels=256, cache_folder=cache_folder)
    assert prepared(data) == []
    assert len(images_of(data)) == 60


def test_a_link_to_nothing_is_refused_in_one_sentence(sketches: Path, cache_folder: str) -> None:
    (sketches / "ant" / "gone.png").symlink_to(sketches / "nowhere.png")
    with pytest.raises(
        ValueError, match=r"gone\.png cannot be read \(No such file or directory\); repair or remove it"
    ):
        prepared(RasterDataModule(path=str(sketches), cache_folder=cache_folder))


def overlap(data: SequenceDataModule) -> list[str]:
    """What was warned of repeats."""
    return [said for said in prepared(data) if "occur in its training split too" in said]  # type: ignore[arg-type]


def test_evaluation_images_that_occur_in_training_are_counted(tmp_path: Path, cache_folder: str) -> None:
    folder = tmp_path / "drawings"
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (40, 5, 5), np.uint8)
    np.savez(folder / "train.npz", images=images[:30])
    np.savez(folder / "val.npz", images=images[28:35])  # two of seven
    np.savez(folder / "test.npz", images=images[35:])  # none
    data = RasterDataModule(path=str(folder), image_size=5, levels=256, cache_folder=cache_folder)
    (said,) = overlap(data)
    assert said.startswith(f"2 of 7 images of the val split of {folder} occur in its training split too")


def test_evaluation_text_that_occurs_in_training_is_counted(tmp_path: Path, cache_folder: str) -> None:
    letters = np.random.default_rng(0).integers(97, 123, 6000, np.uint8).tobytes().decode()
    rows = {"train": letters[:3000], "validation": letters[2000:4000], "test": letters[4000:]}
    for name, text in rows.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": text}))
    data = TextDataModule(path=str(tmp_path), length=199, cache_folder=cache_folder)
    (said,) = overlap(data)
    # 10 windows of 200 start at 0, 200, ... 1801 of 2000 tokens, of which the first 1000 are training text
    assert said.startswith(f"5 of 10 passages of 200 tokens of the val split of {tmp_path} occur in its training")


def test_nothing_is_said_of_data_without_repeats(stories: Path, cache_folder: str) -> None:
    assert overlap(TextDataModule(path=str(stories), length=16, cache_folder=cache_folder)) == []
    assert overlap(RasterDataModule(cache_folder=cache_folder)) == []


@pytest.mark.parametrize("width", [16, 17, 100, 257, 600])
def test_a_window_is_found_at_any_place_and_only_whole(width: int) -> None:
    text = np.random.default_rng(1).integers(0, 4, 5000).astype(np.uint8)
    places = [0, 1, 63, 64, 65, 777, 5000 - width]
    windows = np.stack([text[place : place + width] for place in places])
    assert repeated_windows(text, windows).all()
    changed = windows.copy()
    changed[:, -1] ^= 1
    naive = [bytes(window) in text.tobytes() for window in changed]
    assert repeated_windows(text, changed).tolist() == naive
    assert repeated_windows(text[: width - 1], windows).tolist() == [False] * len(places)


def test_rows_that_differ_in_one_token_have_other_hashes() -> None:
    rows = np.zeros((1 + 2 * 37, 37), np.uint8)
    for token in range(37):
        rows[1 + token, token], rows[38 + token, token] = 1, 128
    assert len(np.unique(row_hashes(rows))) == len(rows)
    assert np.array_equal(row_hashes(rows), row_hashes(rows.copy()))


def test_a_file_changed_behind_an_old_time_is_read_again(tmp_path: Path, cache_folder: str) -> None:
    file = tmp_path / "a.txt"

    def tokens(text: str) -> bytes:
        file.write_text(text)
        os.utime(file, ns=(10**18, 10**18))
        data = TextDataModule(path=str(file), length=1, held_out=0.5, cache_folder=cache_folder)
        prepared(data)
        return data.stream("train").tokens.tobytes()

    assert tokens("aaaaaaaa") == b"aaaa"
    assert tokens("bbbbbbbb") == b"bbbb"


def test_an_image_that_stands_twice_under_names_of_two_splits_is_told(sketches: Path, cache_folder: str) -> None:
    root = sketches.with_name("sorted")
    root.mkdir()
    (sketches / "ant").rename(root / "train")
    (sketches / "zebra").rename(root / "test")
    Image.new("L", (8, 8), 0).save(root / "test" / "again-0.png")  # as all of photo 0 of train are
    (said, *_) = overlap(RasterDataModule(path=str(root), levels=256, held_out=0.5, cache_folder=cache_folder))
    assert said.startswith("1 of ")
