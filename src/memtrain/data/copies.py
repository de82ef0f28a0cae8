"""Files that are there twice: links, copies, one file packed and unpacked. Each content counts once."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from memtrain.data.unpacked import is_packed, open_unpacked, reading

CHUNK = 1 << 20


def without_copies(files: Sequence[Path], split_of: Callable[[Path], str]) -> list[Path]:
    """Leave out every file whose unpacked content another file of its split has, and say so in one warning.

    Args:
        files: the files of a source, in order; of those of equal content the first stays.
        split_of: the split that a file belongs to.

    Raises:
        ValueError: if two files are by their names one and the same, packed and unpacked, but differ in content; or
            if one cannot be read.
    """
    sizes = [_unpacked_size(file) for file in files]
    often = Counter(sizes)
    first: dict[tuple[str, bytes], Path] = {}
    kept, copies = [], []
    for file, size in zip(files, sizes, strict=True):
        unlike_others = often[size] == 1 or not size  # empty files are no copies, just empty
        original = file if unlike_others else first.setdefault((split_of(file), _content_hash(file)), file)
        if original is file:
            kept.append(file)
        else:
            copies.append((file, original))
    if copies:
        copy, original = copies[0]
        warnings.warn(
            f"{len(copies)} of {len(files)} files have the content of another and were left out, "
            f"for example {copy}, which is {original} again.",
            stacklevel=2,
        )
    _refuse_twins(kept, split_of)
    return kept


def _refuse_twins(files: Sequence[Path], split_of: Callable[[Path], str]) -> None:
    named: dict[tuple[Path, str, str], Path] = {}
    for file in files:
        name = file.name.removesuffix(".gz").replace(".idx", "-idx")  # MNIST's files are called both ways
        twin = named.setdefault((file.parent, name, split_of(file)), file)
        if twin is not file:
            raise ValueError(f"{file} and {twin} have one name, but differ in content; remove or rename one.")


def _unpacked_size(file: Path) -> int:
    with reading(file, "file", "repair or remove it"):
        packed, size = is_packed(file), file.stat().st_size
    if not packed:
        return size
    with reading(file, "gzip file", "repair it or fetch it again"), open_unpacked(file) as stream:
        return sum(len(chunk) for chunk in iter(lambda: stream.read(CHUNK), b""))


def _content_hash(file: Path) -> bytes:
    with reading(file, "file", "repair or remove it"), open_unpacked(file) as stream:
        return hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]  # it has readinto
