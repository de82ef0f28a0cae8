"""Folders and homes that are not there or closed: one sentence with the folder and the option."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.constants import HF_HOME

from memtrain.data import RasterDataModule, TextDataModule, sources, text
from memtrain.data.sources import local_path


def refusal(data: TextDataModule | RasterDataModule) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        data.prepare_data()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "~nobody-of-this-name", "a" * 5000, "a\0b"])
def test_a_path_that_cannot_be_is_refused_in_one_sentence(path: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"which does not exist.*; give a file, a folder, or a Hugging Face"):
        local_path(path)


def test_a_folder_under_a_file_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"a\.txt/b, which does not exist"):
        local_path(str(tmp_path / "a.txt" / "b"))


@pytest.mark.parametrize("module", [TextDataModule, RasterDataModule])
def test_a_cache_of_nobody_is_refused_with_the_option(module: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("once upon a time")
    path = str(tmp_path / "a.txt") if module is TextDataModule else None
    said = refusal(module(path=path, cache_folder="~nobody-of-this-name/cache"))
    assert said.startswith("~nobody-of-this-name/cache would hold prepared data, but there is no such home folder")
    assert "set data.cache_folder to a folder that can be written" in said


def test_a_user_without_a_home_is_told_to_name_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", unknown)
    assert refusal(RasterDataModule()) == (
        "~/.cache would hold prepared data, but there is no such home folder (Could not determine home directory); "
        "set data.cache_folder to a folder that can be written."
    )


def test_a_cache_that_cannot_be_written_is_refused_with_folder_and_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = refusal(RasterDataModule(cache_folder=str(tmp_path / "file" / "cache")))
    assert said == (
        f"{tmp_path}/file/cache is to hold prepared data, but cannot be written (Not a directory); set "
        "data.cache_folder to a folder that can, and that has room."
    )


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    said = refusal(RasterDataModule(cache_folder=str(tmp_path / "cache")))
    assert f"{tmp_path}/cache is to hold prepared data, but cannot be written (No space left on device)" in said


def test_a_closed_folder_among_the_data_is_not_passed_over(
    sketches: Path, cache_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = Path.iterdir

    def closed(folder: Path) -> Any:
        if folder.name == "zebra":
            raise PermissionError(13, "Permission denied", str(folder))
        return listing(folder)

    monkeypatch.setattr(Path, "iterdir", closed)
    said = refusal(RasterDataModule(path=str(sketches), cache_folder=cache_folder))
    assert said.endswith("zebra cannot be read (Permission denied); make it readable, or remove it.")


def test_local_text_needs_no_hugging_face_cache(tmp_path: Path, cache_folder: str) -> None:
    (tmp_path / "a.txt").write_text("once upon a time")
    (tmp_path / "file").touch()
    options = {"path": str(tmp_path / "a.txt"), "length": 1, "cache_folder": cache_folder}
    program = f"from memtrain.data import TextDataModule; TextDataModule(**{options!r}).prepare_data()"
    environment = {**os.environ, "HF_HOME": str(tmp_path / "file" / "closed")}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_a_hugging_face_cache_that_cannot_be_written_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, cache_folder: str
) -> None:
    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/closed/datasets")

    monkeypatch.setattr(sources.HfApi, "dataset_info", lambda *_, **__: None)
    monkeypatch.setattr(sources, "load_dataset", closed)
    assert refusal(TextDataModule(path="someone/stories", cache_folder=cache_folder)) == (
        f"data.path is someone/stories, but the Hugging Face cache {HF_HOME} cannot be written (Permission denied), at "
        "/closed/datasets; set the environment variable HF_HOME to a folder that can."
    )


def test_the_hub_is_read_by_its_own_library_from_files_of_the_same_format(
    stories: Path, cache_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources.HfApi, "dataset_info", lambda *_, **__: None)
    local = TextDataModule(path=str(stories), length=8, cache_folder=f"{cache_folder}-local")
    with pytest.warns(UserWarning, match="not ASCII"):
        local.prepare_data()
    monkeypatch.setattr(text, "local_path", lambda path: None)
    hub = TextDataModule(path=str(stories), length=8, cache_folder=f"{cache_folder}-hub")
    with pytest.warns(UserWarning, match="not ASCII"):
        hub.prepare_data()
    for split in ("train", "val", "test"):
        assert hub.stream(split).tokens.tobytes() == local.stream(split).tokens.tobytes()  # type: ignore[arg-type]


def test_a_hub_that_breaks_off_is_told_with_its_name(monkeypatch: pytest.MonkeyPatch, cache_folder: str) -> None:
    def breaks_off() -> Any:
        yield {"text": "once"}
        raise ConnectionError("the line is cut")

    monkeypatch.setattr(sources.HfApi, "dataset_info", lambda *_, **__: None)
    monkeypatch.setattr(sources, "load_dataset", lambda *_, **__: {"train": breaks_off()})
    said = refusal(TextDataModule(path="someone/stories", cache_folder=cache_folder))
    assert said.startswith("data.path is someone/stories, which is no local path and cannot be read from the Hugging")
    assert "(the line is cut)" in said
