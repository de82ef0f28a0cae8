"""Small files that are whole or not there: written beside their place, then renamed."""

import json
import os
from pathlib import Path
from typing import Any


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
    """Write YAML-like primitives as indented JSON, in one step."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote; None where there is no such file."""
    return json.loads(path.read_text()) if path.is_file() else None
