"""Reading checkpoints: what is not one is refused, and the last good one beside it is named."""

import os
from pathlib import Path

import pytest
import torch

from memtrain.checkpoints import load_checkpoint


def write(path: Path, age: int, content: object = None) -> Path:
    """A file as a checkpoint of memtrain, or with other content, last changed `age` seconds ago."""
    torch.save({"memtrain": {"stage": "smt"}, "global_step": age} if content is None else content, path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def truncate(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-200])
    return path


def test_the_newest_whole_checkpoint_beside_a_truncated_one_is_named(tmp_path: Path) -> None:
    write(tmp_path / "older.ckpt", age=30)
    write(tmp_path / "good.ckpt", age=20)
    truncate(write(tmp_path / "newer.ckpt", age=10))
    write(tmp_path / "foreign.ckpt", age=5, content={"state_dict": {}})
    last = truncate(write(tmp_path / "last.ckpt", age=0))
    with pytest.raises(
        ValueError, match=r"last.ckpt is truncated or damaged and was not loaded; .* is .*/good.ckpt\.$"
    ):
        load_checkpoint(last)


def test_a_foreign_one_alone_is_refused_and_none_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "last.ckpt", age=0, content={"state_dict": {}})
    with pytest.raises(ValueError, match=r"was not written by memtrain .*; give another; there is no good one beside"):
        load_checkpoint(file)


def test_a_whole_one_is_read(tmp_path: Path) -> None:
    assert load_checkpoint(write(tmp_path / "last.ckpt", age=3))["global_step"] == 3
