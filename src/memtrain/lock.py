"""The lock of a run's folder: one process at a time works on a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def only_worker(option: str, folder: Path) -> Iterator[None]:
    """Keep two processes from working on one run; the system frees the lock even if this process is killed.

    Args:
        option: that names the folder, or one that it lies in.
        folder: of the run.

    Raises:
        ValueError: if another process works there, or the file system has no locks.
    """
    try:
        with locked(option, folder / "lock", blocking=False):
            yield
    except Timeout:
        raise ValueError(f"{folder} is being worked on by another process; wait for it, or stop it.") from None


@contextmanager
def in_turn(option: str, file: Path) -> Iterator[None]:
    """Let processes do something one after the other, each waiting for those before it; see `only_worker`.

    Args:
        option: that names the folder of the file, or one that it lies in.
        file: of the lock, which all of them name.
    """
    with locked(option, file, blocking=True):
        yield


@contextmanager
def locked(option: str, file: Path, blocking: bool) -> Iterator[None]:
    """Hold a lock; raises Timeout where another process holds it and this one does not wait."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # A soft lock, a file that only exists, would outlive a killed process.
    lock = FileLock(file, blocking=blocking, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise
    except OSError as error:
        raise ValueError(
            f"{file.parent} cannot be locked ({error.strerror}); choose for {option} a folder on a file system with "
            "locks."
        ) from error
    try:
        yield
    finally:
        lock.release()
