"""Small files that are whole or not there: written beside their place, then renamed."""

import csv
import hashlib
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # slow to import, and only figures need it
    from matplotlib.figure import Figure

LAST_CHECKPOINT = Path("checkpoints", "last.ckpt")
"""The newest checkpoint of a run or stage, in its folder."""


def digest(content: Any) -> str:
    """A short hash of JSON-like content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def expanded(option: str, path: str | Path) -> Path:
    """A path whose leading `~` is a home folder, unless it exists under the very name.

    Raises:
        ValueError: if there is no such folder.
    """
    if str(path)[:1] != "~" or Path(path).exists():
        return Path(path)
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{option} is {path}, but there is no such home folder; write the path in full.") from error


def require_folder(option: str, folder: Path) -> None:
    """Refuse a folder that cannot be made.

    Raises:
        ValueError: if it, or a folder above it, is a file, or its name is none.
    """
    if "::" in str(folder):
        raise ValueError(f"{option} is {folder}, but Lightning takes what follows :: for a second path; name another.")
    try:
        taken = next((path for path in (folder, *folder.parents) if path.exists()), None)
    except OSError as error:  # a name that is too long, a folder that is closed
        raise ValueError(f"{option} is {folder!s:.80}, which cannot be ({error.strerror}); name another.") from None
    if taken is not None and not taken.is_dir():
        raise ValueError(f"{option} is {folder}, but {taken} is not a folder; name a folder that is or can be made.")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write YAML-like primitives as indented JSON, in one step; numbers that are not finite become null."""
    write_text(path, json.dumps(finite(content), indent=2, allow_nan=False) + "\n")


def finite(content: Any) -> Any:
    """YAML-like primitives with None in place of NaN and infinities, which JSON does not have."""
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV, in one step: a column for each key that a row has, empty where another lacks it.

    Raises:
        ValueError: where there are none.
    """
    if not rows:
        raise ValueError(f"There are no rows for {path}; what makes them must return one at least.")
    text = io.StringIO()
    columns = dict.fromkeys(column for row in rows for column in row)
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_figure(path: Path, figure: "Figure", **options: Any) -> None:
    """Write a figure as PNG, in one step; `options` are those of matplotlib's `savefig`."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=200, **options)
    write_bytes(path, image.getvalue())


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote; None where there is no such file.

    Raises:
        ValueError: where it is something else.
    """
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}); remove it, and run the command again.") from None
