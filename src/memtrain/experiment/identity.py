"""Hashes of what results depend on: options, classes that are not memtrain's own, and files."""

import ast
import hashlib
import inspect
import pydoc
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from memtrain.data.seen import local_paths, look
from memtrain.experiment.specification import Experiment
from memtrain.files import digest


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

    A cell that has been changed since gives other results under the same name. The files of its own package that its
    file imports count too, and what these import.
    """
    found: dict[str, str] = {}

    def look(content: Any) -> None:
        if isinstance(content, dict):
            name = content.get("class_path")
            if isinstance(name, str) and not name.startswith("memtrain."):
                file = Path(inspect.getfile(cast(type, pydoc.locate(name))))  # of the class, not of what re-exports it
                found[name] = digest([hash_of(file) for file in sorted(with_own_imports(file))])
            for entry in content.values():
                look(entry)

    look(configuration["model"])
    look(configuration["data"])
    return found


def hash_of(file: Path) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def with_own_imports(file: Path) -> set[Path]:
    """A source file and the files that it imports, directly or not, from its own package or its own folder.

    Args:
        file: of a class.
    """
    found: set[Path] = set()
    waiting = [file.resolve()]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_bytes())):
            waiting += imported_by(node, file)
    return found


def imported_by(node: ast.AST, file: Path) -> list[Path]:
    """The files below the top folder of a file's package that an import statement in it names."""
    if isinstance(node, ast.ImportFrom):
        names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
    elif isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        return []
    folder, level = file.parent, getattr(node, "level", 0)
    if level:  # from . import x
        starts = [folder.joinpath(*[".."] * (level - 1)).resolve()]
    else:
        starts = [folder]
        while (starts[-1] / "__init__.py").is_file():  # up to the folder that the package lies in
            starts.append(starts[-1].parent)
    places = [start.joinpath(*name.split(".")[:depth]) for start in starts for name in names for depth in depths(name)]
    candidates = [*(place.with_suffix(".py") for place in places), *(place / "__init__.py" for place in places)]
    return [place for place in candidates if place.is_file()]


def depths(name: str) -> range:
    """1, 2, .. for the parts of a dotted name: `a.b.c` may be attribute c of module a.b."""
    return range(1, name.count(".") + 2)


def own_files(configuration: Mapping[str, Any]) -> dict[str, list[str]]:
    """Hashes of names, sizes and times of change of the local files that a stage's data read, by option."""
    found = local_paths(configuration["data"]["init_args"])
    return {option: [files_hash(path, path.stat().st_mtime_ns) for path in paths] for option, paths in found.items()}


@cache
def files_hash(path: Path, changed: int) -> str:
    """Hash of all files of a folder, or of a file; remembered until its own time of change, in ns, is another."""
    return digest(look([path]))
