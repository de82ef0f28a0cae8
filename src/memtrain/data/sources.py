"""Where data come from: local files or the Hugging Face hub; and which split is which."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from datasets import load_dataset
from huggingface_hub import HfApi
from huggingface_hub.constants import HF_HOME

from memtrain.data.unpacked import one_line

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "t10k": "test",
}


def local_path(path: str) -> Path | None:
    """Return the local file or folder that `path` names, or None if it is a data set of the hub.

    What is there under the very name comes first; else a leading `~` is the home folder. A path that does not exist
    is a hub name if it has the form `owner/name` and there is no local folder `owner`.

    Raises:
        FileNotFoundError: if it is neither.
    """
    why = ""
    try:
        if Path(path).exists():
            return Path(path)
        local = Path(path).expanduser()
        if local.exists():
            return local
        if re.fullmatch(r"[\w.-]+/[\w.-]+", path) and not local.parent.exists():
            return None
    except (OSError, RuntimeError) as error:  # a name that is too long, a folder that is closed, ~ of no known user
        why = f" ({one_line(error)})"
    raise FileNotFoundError(
        f"data.path is {path}, which does not exist{why}; give a file, a folder, or a Hugging Face data set as "
        "owner/name."
    )


def split_of(name: str) -> str:
    """Return "train", "val" or "test" for the name of a file or hub split; "train" if it says nothing."""
    for word in re.split(r"[^a-z0-9]+", name.lower()):
        if word in SPLIT_WORDS:
            return SPLIT_WORDS[word]
    return "train"


def files_under(path: Path) -> list[Path]:
    """List a file alone, or all files of a folder at any depth in order of name.

    Links are followed, but not into a folder that holds them. Hidden files are left out, and all that is in hidden
    folders: `.DS_Store`, `._cat.png`, `.ipynb_checkpoints/`.

    Raises:
        ValueError: if a folder cannot be read.
    """
    return [path] if path.is_file() else sorted(_files_below(path, ()))


def _files_below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    try:
        real = folder.resolve()
        inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{folder} cannot be read ({one_line(error)}); make it readable, or remove it.") from error
    if real in above:
        return
    for path in inside:
        if path.is_dir():
            yield from _files_below(path, (*above, real))
        elif path.is_file() or path.is_symlink():  # a link to nothing is not passed over: reading it says so
            yield path


def describe_files(files: Iterable[Path]) -> list[list[Any]]:
    """Return path, size and time of change of each file: what its content depends on.

    Raises:
        ValueError: if one is a link to nothing, or cannot be looked at.
    """
    return [[str(file.resolve()), stat.st_size, stat.st_mtime_ns] for file, stat in _looked_at(files)]


def cache_identity(files: Iterable[Path]) -> list[list[Any]]:
    """Return what `describe_files` returns and the time at which the system last saw each file change.

    Copying programs set the time of change back, so that another file of equal size can have it; the system's own
    time nobody sets. It also changes when nothing else does, which costs no more than preparing once again.

    Raises:
        ValueError: as `describe_files`.
    """
    files = list(files)
    seen = [stat.st_ctime_ns for _, stat in _looked_at(files)]
    return [[*described, time] for described, time in zip(describe_files(files), seen, strict=True)]


def _looked_at(files: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    for file in files:
        try:
            yield file, file.stat()
        except OSError as error:
            raise ValueError(f"{file} cannot be read ({one_line(error)}); repair or remove it.") from error


def hub_splits(path: str, subset: str | None) -> dict[str, Iterator[dict[str, Any]]]:
    """Open every split of a hub data set for one pass, without keeping a copy of its files.

    Args:
        path: `owner/name`.
        subset: name of its configuration; None where it has one.

    Returns:
        The hub's own split names and their rows; reading these raises FileNotFoundError too.

    Raises:
        FileNotFoundError: if the hub does not give it.
    """
    try:
        HfApi().dataset_info(path, timeout=20)
        splits = load_dataset(path, subset, streaming=True)
    except Exception as error:  # whatever goes wrong here, the user needs to know which name was asked of the hub
        raise _not_given(path, error) from error
    return {str(name): _hub_rows(path, rows) for name, rows in splits.items()}


def _hub_rows(path: str, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    try:
        yield from rows
    except Exception as error:
        raise _not_given(path, error) from error


def _not_given(path: str, error: Exception) -> FileNotFoundError:
    remedy = "correct the path, or connect to the network."
    if isinstance(error, ValueError) and "config" in str(error).lower():  # names those that there are
        remedy = "set data.subset to one of its configurations."
    if isinstance(error, OSError) and error.filename is not None:  # trouble of a file here, not of the network
        return FileNotFoundError(
            f"data.path is {path}, but the Hugging Face cache {HF_HOME} cannot be written ({one_line(error)}), at "
            f"{error.filename}; set the environment variable HF_HOME to a folder that can."
        )
    return FileNotFoundError(
        f"data.path is {path}, which is no local path and cannot be read from the Hugging Face hub "
        f"({one_line(error)}); {remedy}"
    )


def refuse_subset(subset: str | None, path: object) -> None:
    """Refuse a configuration of data that have none.

    Raises:
        ValueError: if there is a subset.
    """
    if subset is not None:
        raise ValueError(f"data.subset is {subset!r}, but {path or 'these digits'} is no hub data set; leave it out.")


def require_column(columns: Iterable[str], column: str, source: object) -> None:
    """Refuse a column that the source lacks.

    Raises:
        ValueError: if `column` is not among `columns`.
    """
    if column not in columns:
        raise ValueError(
            f"data.column is {column!r}, but {source} has only the columns {', '.join(sorted(columns))}; "
            f"choose one of them."
        )
