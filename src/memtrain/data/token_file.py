"""Tokens on disk: prepared once into a cache folder, then memory-mapped by every process that reads them."""

import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from memtrain.data.unpacked import one_line
from memtrain.files import digest


def default_cache_folder() -> Path:
    """Return `memtrain` under the user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`).

    Raises:
        ValueError: if the user has no home folder.
    """
    return (Path(os.environ.get("XDG_CACHE_HOME") or _at_home("~/.cache"))) / "memtrain"


def _at_home(folder: str) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"{folder} would hold prepared data, but there is no such home folder ({one_line(error)}); set "
            "data.cache_folder to a folder that can be written."
        ) from error


def cache_entry(cache_folder: str | None, key: dict[str, Any]) -> Path:
    """Return the folder in which what `key` describes is, or will be, prepared.

    Args:
        cache_folder: where prepared data sets are kept; None for `default_cache_folder`.
        key: identity of the source and every option that changes the tokens, as YAML primitives.
    """
    return (_at_home(cache_folder) if cache_folder else default_cache_folder()) / digest(key)


def prepare_once(entry: Path, key: dict[str, Any], build: Callable[[Path], None]) -> None:
    """Fill a cache entry unless it is there: built beside its place, then renamed into it.

    Of processes that start together the first builds and the others wait for it; nobody ever sees a half.

    Args:
        entry: the entry's folder, from `cache_entry`.
        key: what the entry holds; written beside the tokens for the curious, as `source.json`.
        build: `build(folder)` writes the files into an empty folder.

    Raises:
        ValueError: if the folder of the cache cannot be written.
    """
    if entry.is_dir():
        return
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(entry.with_name(f".{entry.name}.lock")):
            _fill(entry, key, build)
    except OSError as error:
        if error.errno is None:  # a sentence of `build`
            raise
        raise ValueError(
            f"{entry.parent} is to hold prepared data, but cannot be written ({one_line(error)}); set "
            "data.cache_folder to a folder that can, and that has room."
        ) from error


def _fill(entry: Path, key: dict[str, Any], build: Callable[[Path], None]) -> None:
    if entry.is_dir():
        return
    beside = entry.with_name(f".{entry.name}-{uuid.uuid4().hex}")
    beside.mkdir()
    try:
        build(beside)
        (beside / "source.json").write_text(json.dumps(key, indent=2, sort_keys=True))
        beside.rename(entry)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


class TokenFile:
    """A stretch of a file of one-byte tokens, memory-mapped at first use (and anew in each loader worker).

    Args:
        path: the file.
        start: first token of the stretch.
        stop: token after its last; None for the end of the file.

    Raises:
        FileNotFoundError: if the file has not been prepared.
    """

    def __init__(self, path: Path, start: int = 0, stop: int | None = None) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; call the data module's prepare_data() before its setup().")
        self.path = path
        self.start = start
        self.stop = path.stat().st_size if stop is None else stop
        self._mapped: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": None}

    @property
    def tokens(self) -> NDArray[np.uint8]:
        """All tokens of the stretch, uint8, still on disk."""
        if self._mapped is None:
            whole = np.memmap(self.path, dtype=np.uint8, mode="r") if self.stop else np.empty(0, dtype=np.uint8)
            self._mapped = whole[self.start : self.stop]
        return self._mapped

    def windows(self, starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Return the tokens from each of `starts` `[B]` on, int64 `[B, length]`."""
        return self.tokens[starts[:, None] + np.arange(length)].astype(np.int64)

    def halves(self) -> tuple["TokenFile", "TokenFile"]:
        """Cut the stretch in two."""
        middle = self.start + len(self) // 2
        return TokenFile(self.path, self.start, middle), TokenFile(self.path, middle, self.stop)
