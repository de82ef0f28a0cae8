"""The files that a run reads, as they were when it began: a run that continues must read the same."""

import warnings

from memtrain.data.sources import describe_files, files_under, local_path
from memtrain.files import digest


def seen_files(path: object) -> dict[str, str] | None:
    """Hashes of the local files below a path.

    Args:
        path: the data's option `path`; anything but the name of local files gives None.

    Returns:
        `sizes`, a hash of the files' names and sizes, and `times`, a hash of their times of change; None for data that
        read no local files.
    """
    local = local_path(path) if isinstance(path, str) else None
    if local is None:
        return None
    files = files_under(local)
    found = [size_and_time for _, *size_and_time in describe_files(files)]
    names = [file.relative_to(local).as_posix() if local.is_dir() else file.name for file in files]
    return {
        "sizes": digest([[name, size] for name, (size, _) in zip(names, found, strict=True)]),
        "times": digest([time for _, time in found]),
    }


def require_same_files(path: object, now: dict[str, str] | None, before: dict[str, str] | None) -> None:
    """Refuse to continue on other files, and warn where they may have been edited.

    Args:
        path: the data's option `path`.
        now: of `seen_files`, as the files are.
        before: as they were when the run was stopped; None where it had none, or did not record them.

    Raises:
        ValueError: if names or sizes differ.
    """
    if before is None or now == before:
        return
    change = f"data.path is {path}, whose files have changed since the checkpoint was written"
    if now is None or now["sizes"] != before["sizes"]:
        raise ValueError(
            f"{change}; bring the former files back, or start from the checkpoint as a new stage with model.init_from."
        )
    warnings.warn(
        f"{change}: names and sizes are the same, times of change are not; if their content is another, the run is not "
        "what it was.",
        stacklevel=2,
    )
