"""Whatever a file is called: exactly the files that are there are read."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from memtrain.data import RasterDataModule, TextDataModule
from memtrain.data.sources import local_path

NAMES = ["a[1]", "a*", "a?", "a::b", "zip::a", "a%20b", "~a", "file:a", "a#b", "{a,b}", "a b", "é", "!a", "a\\b", "@a"]
KINDS = [".txt", ".jsonl", ".parquet"]


def write_text(file: Path, text: str) -> None:
    if file.suffix == ".txt":
        file.write_text(text)
    elif file.suffix == ".jsonl":
        file.write_text(json.dumps({"text": text}))
    else:
        pd.DataFrame({"text": [text]}).to_parquet(file.open("wb"))


def tokens(path: Path | str, cache_folder: str) -> bytes:
    data = TextDataModule(path=str(path), length=1, held_out=0.5, cache_folder=cache_folder)
    data.prepare_data()
    return b"".join(data.stream(split).tokens.tobytes() for split in ("train", "val", "test"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_of_any_name_is_read_itself(kind: str, name: str, tmp_path: Path, cache_folder: str) -> None:
    folder = tmp_path / f"in {name}"
    folder.mkdir()
    write_text(folder / f"{name}{kind}", "here")
    for other in ("a", "a1", "ab", "b"):  # what the name would match as a pattern
        write_text(folder.with_name(f"{other}{kind}"), "elsewhere")
        write_text(folder / f"{other}{kind}", f"beside {other}")
    assert tokens(folder / f"{name}{kind}", cache_folder) == b"here\0"
    read = tokens(folder, cache_folder).split(b"\0")[:-1]
    assert sorted(read) == [b"beside a", b"beside a1", b"beside ab", b"beside b", b"here"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["0.png", "0.jpg", ".npz", "-images-idx3-ubyte"])
def test_images_of_any_name_are_read_themselves(kind: str, name: str, tmp_path: Path, cache_folder: str) -> None:
    folder = tmp_path / f"in {name}"
    folder.mkdir()
    for number in range(4):
        file = folder / f"{name}{number}{kind}"
        pixels = np.full((4, 4), 40 * number, np.uint8)
        if kind == ".npz":
            np.savez(file.open("wb"), images=pixels[None])
        elif kind.startswith("-images"):
            file.write_bytes(np.array([0x803, 1, 4, 4], ">u4").tobytes() + pixels.tobytes())
        else:
            Image.fromarray(pixels).save(file.open("wb"), format="JPEG" if file.suffix == ".jpg" else "PNG")
    data = RasterDataModule(path=str(folder), image_size=4, levels=256, cache_folder=cache_folder)
    data.prepare_data()
    grays = np.concatenate([data.stream(split).tokens[::16] for split in ("train", "val", "test")])
    assert sorted(grays.tolist()) == [0, 40, 80, 120]


@pytest.mark.parametrize("name", NAMES)
def test_the_cache_may_be_called_anything(name: str, tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "here")
    assert tokens(tmp_path / "a.txt", str(tmp_path / name)) == b"here\0"
    assert len(list((tmp_path / name).glob("*/train.bin"))) == 1


@pytest.mark.parametrize("name", ["~", "~nobody-of-this-name"])
def test_a_folder_whose_name_begins_with_a_tilde_is_itself(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "a.txt").touch()
    assert local_path("~/a.txt") == tmp_path / "home" / "a.txt"
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.txt").touch()
    assert local_path(f"{name}/a.txt") == Path(name, "a.txt")


@pytest.mark.parametrize("suffix", [".TXT", ".JSONL", ".Parquet"])
def test_a_suffix_in_capitals_is_the_same_suffix(suffix: str, tmp_path: Path, cache_folder: str) -> None:
    write_text(tmp_path / f"a{suffix.lower()}", "here")
    (tmp_path / f"a{suffix.lower()}").rename(tmp_path / f"STORY{suffix}")
    assert tokens(tmp_path, cache_folder) == b"here\0"
