"""The lock of a run's folder: one process at a time works on a run."""

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def only_worker(option: str, folder: Path) -> Iterator[None]:
    """Keep two processes from working on one run; the system lets go of the lock even if this one is killed.

    Args:
        option: that names the folder, or one that it lies in.
        folder: of the run.

    Raises:
        ValueError: if another process works there, or the file system has no locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder} is being worked on by another process; wait for it, or stop it.") from None
        except OSError as error:
            raise ValueError(
                f"{folder} cannot be locked ({errno.errorcode.get(error.errno or 0)}); "
                f"choose for {option} a folder on a file system with locks."
            ) from error
        yield
