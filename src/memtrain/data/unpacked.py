"""The content of a user's file: opened by its first bytes, whatever its name says; failures in one sentence."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

GZIP = b"\x1f\x8b"
"""The first bytes of a gzip file."""


def kind_of(file: Path) -> str:
    """Return the suffix in lower case, without a `.gz` after it: `.txt` of `Story.TXT.gz`."""
    return Path(file.name.lower().removesuffix(".gz")).suffix


def is_packed(file: Path) -> bool:
    """Say whether a file's first bytes are those of gzip."""
    with file.open("rb") as stream:
        return stream.read(len(GZIP)) == GZIP


def open_unpacked(file: Path) -> BinaryIO:
    """Open a file for reading, unpacked if it is packed by gzip.

    Libraries are handed what this returns, never the path, so that none of them can take `[1]`, `*`, `::` or `%` in
    a name for something else than the name.
    """
    return cast(BinaryIO, gzip.open(file, "rb")) if is_packed(file) else file.open("rb")


@contextmanager
def reading(file: object, kind: str, remedy: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into one sentence that names the file.

    Every library has exceptions of its own for damaged files, beyond any list of them.

    Args:
        file: what is read.
        kind: what it should be, for example `image`.
        remedy: what the user can do.

    Raises:
        ValueError: for every exception.
    """
    try:
        yield
    except Exception as error:
        raise ValueError(f"{file} is not a readable {kind} ({one_line(error)}); {remedy}.") from error


def one_line(error: BaseException) -> str:
    """Return what an exception of another library says, however long, on one line, to be part of a sentence."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split()).rstrip(".") or type(error).__name__
