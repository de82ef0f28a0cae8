"""Hashes of what results depend on: options, classes that are not memtrain's own, and files."""

import hashlib
import inspect
import json
import pydoc
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from memtrain.data.sources import describe_files, files_under
from memtrain.experiment.specification import Experiment


def digest(content: Any) -> str:
    """A short hash of JSON-like content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def conditions(experiment: Experiment) -> str:
    """Hash of what runs must have in common to be compared: data, budget and evaluation."""
    budget, evaluation = experiment.budget, experiment.evaluation
    return digest([experiment.data, budget.seconds, budget.steps, evaluation.samples])


def code_and_files(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What a stage depends on beside its options: `code` and `files`, each only where it has some of its own."""
    found = {"code": own_code(configuration), "files": own_files(configuration)}
    return {name: hashes for name, hashes in found.items() if hashes}


def own_code(configuration: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the source files of the classes of a stage's model and data that are not memtrain's own.

    A cell that has been changed since gives other results under the same name. Only the file of the class itself is
    read, not what it imports.
    """
    found: dict[str, str] = {}

    def look(content: Any) -> None:
        if isinstance(content, dict):
            name = content.get("class_path")
            if isinstance(name, str) and not name.startswith("memtrain."):
                file = Path(inspect.getfile(cast(type, pydoc.locate(name))))  # of the class, not of what re-exports it
                found[name] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
            for entry in content.values():
                look(entry)

    look(configuration["model"])
    look(configuration["data"])
    return found


def own_files(configuration: Mapping[str, Any]) -> str | None:
    """Hash of names, sizes and times of change of the local files that a stage's data read, by their option `path`."""
    path = configuration["data"]["init_args"].get("path")
    local = Path(path).expanduser() if isinstance(path, str) else None
    if local is None or not local.exists():
        return None  # of the hub, or to be refused when the data are prepared
    return files_hash(local, local.stat().st_mtime_ns)


@cache
def files_hash(path: Path, changed: int) -> str:
    """Hash of all files of a folder, or of a file; remembered until its own time of change, in ns, is another."""
    return digest([[Path(file).name, *size_and_time] for file, *size_and_time in describe_files(files_under(path))])
