"""The files that a run reads, as they were when it began: a run that continues must read the same."""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from memtrain.data.sources import describe_files, files_under
from memtrain.files import digest

COLUMNS = ("column", "time", "series", "targets", "observed", "known", "actions", "categorical", "regime")
NOT_READ = ("cache_folder", "subset", "separator", *COLUMNS)
"""Options whose value is no file to read, though a file of that name may lie here."""


def local_paths(options: Mapping[str, Any]) -> dict[str, list[Path]]:
    """The local files and folders that a data module reads, as far as its options name them.

    Args:
        options: of the data module, as YAML primitives, lists and dictionaries of these too.

    Returns:
        By option, those of its values that exist; what is no path, or names a data set of the hub, is left out.
    """
    found = {option: list(existing(option, value)) for option, value in options.items()}
    return {option: paths for option, paths in found.items() if paths}


def existing(option: str, value: object) -> Iterator[Path]:
    """The paths in the value of an option; what is there under the very name comes before a home folder."""
    if option in NOT_READ or "cache" in option:
        return
    if isinstance(value, Mapping):
        for name, entry in value.items():
            yield from existing(str(name), entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from existing(option, entry)
    elif isinstance(value, (str, Path)) and (option == "path" or str(value).strip("./")):  # else signs of something
        path = found_at(value)
        if path is not None:
            yield path


def found_at(value: str | Path) -> Path | None:
    """What lies there; None: nothing, or it cannot be a path."""
    try:
        return next((path for path in (Path(value), Path(value).expanduser()) if value and path.exists()), None)
    except (OSError, RuntimeError, ValueError):  # too long, of nobody's home, with a null character
        return None


def seen_files(options: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Hashes of the local files that a data module reads, by option; see `local_paths`."""
    return {option: look(paths) for option, paths in local_paths(options).items()}


def look(paths: list[Path]) -> dict[str, str]:
    """Hashes of files, and of all files below folders.

    Returns:
        `sizes`, a hash of the files' names and sizes, and `times`, a hash of their times of change.
    """
    names, found = [], []
    for path in paths:
        files = files_under(path)
        names += [file.relative_to(path).as_posix() if path.is_dir() else file.name for file in files]
        found += [size_and_time for _, *size_and_time in describe_files(files)]
    return {
        "sizes": digest([[name, size] for name, (size, _) in zip(names, found, strict=True)]),
        "times": digest([time for _, time in found]),
    }


def require_same_files(
    options: Mapping[str, Any], now: Mapping[str, dict[str, str]], before: Mapping[str, dict[str, str]] | None
) -> None:
    """Refuse to continue on other files, and warn where they may have been edited.

    Args:
        options: of the data module.
        now: of `seen_files`, as the files are.
        before: as they were when the run was stopped; None where that was not recorded.

    Raises:
        ValueError: if names or sizes differ.
    """
    for option, recorded in (before or {}).items():
        if now.get(option) == recorded:
            continue
        change = f"data.{option} is {options.get(option)}, whose files have changed since the checkpoint was written"
        if option not in now or now[option]["sizes"] != recorded["sizes"]:
            raise ValueError(
                f"{change}; bring the former files back, or start from the checkpoint as a new stage with "
                "model.init_from."
            )
        warnings.warn(
            f"{change}: names and sizes are the same, times of change are not; if their content is another, the run is "
            "not what it was.",
            stacklevel=2,
        )
