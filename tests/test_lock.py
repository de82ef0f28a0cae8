"""The lock of a run's folder."""

import errno
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from memtrain.lock import only_worker

HOLD = """
import sys, time
from pathlib import Path
from memtrain.lock import only_worker
with only_worker("--output", Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_is_told_and_a_killed_one_leaves_the_lock_free(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="is being worked on by another process; wait for it, or stop it"):
            only_worker("--output", tmp_path).__enter__()
        holder.kill()
    with only_worker("--output", tmp_path):
        assert (tmp_path / "lock").exists()


def test_an_exception_at_work_leaves_the_lock_free(tmp_path: Path) -> None:
    with pytest.raises(KeyError), only_worker("--output", tmp_path):
        raise KeyError
    with only_worker("--output", tmp_path):
        pass


@pytest.mark.parametrize("reason", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told(reason: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> bool:
        raise OSError(reason, "no locks here")

    monkeypatch.setattr(f"{filelock.FileLock.__module__}.lock_fd_nonblocking", refuse)
    with pytest.raises(ValueError, match=r"cannot be locked \(no locks here\); choose for --output a folder on"):
        only_worker("--output", tmp_path).__enter__()
    assert not (tmp_path / "lock").exists() or not (tmp_path / "lock").read_bytes()  # no soft lock in its place
