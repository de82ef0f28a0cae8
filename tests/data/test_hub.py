"""Data sets of the Hugging Face hub, with the hub's answers replaced by local ones."""

import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from memtrain.data import RasterDataModule, TextDataModule, images, sources, text


def test_text_of_the_hub_becomes_splits(monkeypatch: pytest.MonkeyPatch, cache_folder: str) -> None:
    rows = {"train": [{"text": "once"}, {"text": "upon"}], "validation": [{"text": "a time"}]}
    monkeypatch.setattr(text, "hub_splits", lambda path, subset: rows)
    data = TextDataModule(path="someone/stories", length=2, cache_folder=cache_folder)
    data.prepare_data()
    assert data.stream("train").tokens.tobytes() == b"once\0upon\0"
    assert data.stream("val").tokens.tobytes() + data.stream("test").tokens.tobytes() == b"a time\0"


def test_what_the_hub_gave_once_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch, cache_folder: str) -> None:
    asked = []

    def answer(path: str, subset: str | None) -> dict[str, Any]:
        asked.append(path)
        return {"train": [{"text": "once upon a time"}]}

    monkeypatch.setattr(text, "hub_splits", answer)
    for _ in range(2):
        TextDataModule(path="someone/stories", length=2, cache_folder=cache_folder).prepare_data()
    assert asked == ["someone/stories"]


def test_images_of_the_hub_become_splits(monkeypatch: pytest.MonkeyPatch, cache_folder: str) -> None:
    rows = {
        "train": [{"image": Image.new("L", (4, 4), 255)}] * 3,
        "test": [{"image": Image.new("L", (4, 4), 0)}] * 2,
    }
    monkeypatch.setattr(images, "hub_splits", lambda path, subset: rows)
    data = RasterDataModule(path="someone/digits", image_size=2, levels=2, cache_folder=cache_folder)
    data.prepare_data()
    assert [data.stream(split).tokens.tolist() for split in ("train", "val", "test")] == [
        [1] * 12,
        [0] * 4,
        [0] * 4,
    ]
    data = RasterDataModule(path="someone/digits", column="picture", cache_folder=cache_folder)
    with pytest.raises(ValueError, match=r"data\.column is 'picture', but someone/digits has only the columns image"):
        data.prepare_data()


def test_a_column_of_the_hub_that_holds_no_images_is_refused(
    monkeypatch: pytest.MonkeyPatch, cache_folder: str
) -> None:
    monkeypatch.setattr(
        images, "hub_splits", lambda path, subset: {"train": [{"image": Image.new("L", (4, 4)), "label": 3}]}
    )
    data = RasterDataModule(path="someone/digits", column="label", cache_folder=cache_folder)
    with pytest.raises(ValueError, match=r"data\.column is 'label', but in someone/digits it holds a int, not images"):
        data.prepare_data()


def test_empty_cells_of_images_are_skipped_and_counted(monkeypatch: pytest.MonkeyPatch, cache_folder: str) -> None:
    rows: list[dict[str, Any]] = [{"image": Image.new("L", (4, 4), 10 * number)} for number in range(4)]
    monkeypatch.setattr(images, "hub_splits", lambda path, subset: {"train": [*rows, {"image": None}]})
    data = RasterDataModule(path="someone/digits", image_size=4, levels=256, cache_folder=cache_folder)
    with pytest.warns(UserWarning, match="1 of 5 cells of images in someone/digits are empty and were skipped"):
        data.prepare_data()
    assert len(data.stream("train")) == 2 * 16
    monkeypatch.setattr(images, "hub_splits", lambda path, subset: {"train": [{"image": None}] * 3})
    data = RasterDataModule(path="someone/others", cache_folder=cache_folder)
    with pytest.raises(ValueError, match="but all 3 cells of it in someone/others are empty; choose a column of"):
        data.prepare_data()


def test_a_photo_of_the_hub_is_turned_as_its_file_says(monkeypatch: pytest.MonkeyPatch, cache_folder: str) -> None:
    photo = Image.new("L", (2, 2), 0)
    photo.putpixel((1, 0), 255)  # upper right; turned right, it is lower right
    exif = Image.Exif()
    exif[0x112] = 6
    photo.info["exif"] = exif.tobytes()
    monkeypatch.setattr(images, "hub_splits", lambda path, subset: {"train": [{"image": photo}] * 3})
    data = RasterDataModule(path="someone/photos", image_size=2, levels=2, cache_folder=cache_folder)
    data.prepare_data()
    assert data.stream("train").tokens.tolist() == [0, 0, 0, 1]


def test_a_name_that_the_hub_refuses_is_reported_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, cache_folder: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("404 Client Error\nmore about it")

    monkeypatch.setattr(sources.HfApi, "dataset_info", refuse)
    before = time.perf_counter()
    with pytest.raises(FileNotFoundError) as caught:
        TextDataModule(path="nobody/nothing", cache_folder=cache_folder).prepare_data()
    assert time.perf_counter() - before < 5
    assert str(caught.value) == (
        "data.path is nobody/nothing, which is no local path and cannot be read from the Hugging Face hub "
        "(404 Client Error more about it); correct the path, or connect to the network."
    )


def test_a_configuration_of_local_data_is_refused(tmp_path: Path, cache_folder: str) -> None:
    (tmp_path / "a.txt").write_text("once upon a time")
    with pytest.raises(ValueError, match=r"data\.subset is 'small', but .* is no hub data set; leave it out"):
        TextDataModule(path=str(tmp_path), subset="small", length=2, cache_folder=cache_folder).prepare_data()
    with pytest.raises(ValueError, match=r"data\.subset is 'small', but these digits is no hub"):
        RasterDataModule(subset="small", cache_folder=cache_folder).prepare_data()


def test_a_configuration_of_the_hub_is_asked_for_by_name_and_cached_apart(
    monkeypatch: pytest.MonkeyPatch, cache_folder: str
) -> None:
    def load(path: str, name: str | None, streaming: bool) -> dict[str, Any]:
        if name is None:
            raise ValueError("Config name is missing.\nPlease pick one among: ['small', 'large']")
        return {"train": [{"text": f"{name} " * 20}]}

    monkeypatch.setattr(sources.HfApi, "dataset_info", lambda *_, **__: None)
    monkeypatch.setattr(sources, "load_dataset", load)
    with pytest.raises(FileNotFoundError, match=r"among: \['small', 'large'\]\); set data\.subset to one of its"):
        TextDataModule(path="someone/wiki", length=2, cache_folder=cache_folder).prepare_data()
    for subset in ("small", "large"):
        data = TextDataModule(path="someone/wiki", subset=subset, length=2, cache_folder=cache_folder)
        data.prepare_data()
        assert data.stream("train").tokens.tobytes().startswith(subset.encode())
