"""Where data come from: local files or the Hugging Face hub; and which split is which."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datasets import IterableDataset, load_dataset
from huggingface_hub import HfApi

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

    A path that does not exist is a hub name if it has the form `owner/name` and there is no local folder
    `owner`.

    Raises:
        FileNotFoundError: if it is neither.
    """
    local = Path(path).expanduser()
    if local.exists():
        return local
    if re.fullmatch(r"[\w.-]+/[\w.-]+", path) and not local.parent.exists():
        return None
    raise FileNotFoundError(
        f"data.path is {path}, which does not exist; give a file, a folder, or a Hugging Face data set as owner/name."
    )


def split_of(name: str) -> str:
    """Return "train", "val" or "test" for the name of a file or hub split; "train" if it says nothing."""
    for word in re.split(r"[^a-z0-9]+", name.lower()):
        if word in SPLIT_WORDS:
            return SPLIT_WORDS[word]
    return "train"


def files_under(path: Path) -> list[Path]:
    """List a file alone, or all files of a folder at any depth in order of name.

    Hidden files are left out, and all that is in hidden folders: `.DS_Store`, `._cat.png`, `.ipynb_checkpoints/`.
    """
    if path.is_file():
        return [path]
    found = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts))


def describe_files(files: Iterable[Path]) -> list[list[Any]]:
    """Return path, size and time of change of each file: the identity of a local source for the cache."""
    stats = ((file, file.stat()) for file in files)
    return [[str(file.resolve()), stat.st_size, stat.st_mtime_ns] for file, stat in stats]


def hub_splits(path: str, subset: str | None) -> dict[str, IterableDataset]:
    """Open every split of a hub data set for one pass, without keeping a copy of its files.

    Args:
        path: `owner/name`.
        subset: name of its configuration; None where it has one.

    Returns:
        The hub's own split names and their rows.

    Raises:
        FileNotFoundError: if the hub does not give it.
    """
    try:
        HfApi().dataset_info(path, timeout=20)
        return dict(load_dataset(path, subset, streaming=True))
    except Exception as error:  # whatever goes wrong here, the user needs to know which name was asked of the hub
        remedy = "correct the path, or connect to the network."
        if isinstance(error, ValueError) and "config" in str(error).lower():  # names those that there are
            remedy = "set data.subset to one of its configurations."
        raise FileNotFoundError(
            f"data.path is {path}, which is no local path and cannot be read from the Hugging Face hub "
            f"({one_line(error)}); {remedy}"
        ) from error


def one_line(error: BaseException) -> str:
    """Return what an exception of another library says, however long, on one line, to be part of a sentence."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


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
