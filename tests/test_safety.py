"""A file that is no checkpoint of memtrain is refused in one sentence by every command, and nothing in it is run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from memtrain.cli import main

CONF = Path(__file__).parent / "conf"


class Trap:
    """Unpickled, it creates a file."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, (str(self.sprung), "w")


def stage(command: str, *more: str, directory: Path) -> list[str]:
    """`memtrain COMMAND` of a small stage bptt."""
    files = [word for name in ("trainer", "bptt", "retrieval") for word in ("--config", str(CONF / f"{name}.yaml"))]
    return [command, *files, f"--trainer.default_root_dir={directory}", *more]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as memtrain writes it."""
    folder = tmp_path_factory.mktemp("sound")
    assert main(stage("fit", "--trainer.max_steps=1", "--trainer.limit_val_batches=0", directory=folder)) == 0
    return folder / "checkpoints" / "last.ckpt"


def with_code(sound: Path, file: Path) -> None:
    """In every other respect as good as the sound one."""
    torch.save({**torch.load(sound, weights_only=True), "extra": Trap(file.with_name("sprung"))}, file)


def truncated(sound: Path, file: Path) -> None:
    content = sound.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def empty(sound: Path, file: Path) -> None:
    file.touch()


def foreign(sound: Path, file: Path) -> None:
    """Written by Lightning, of another program's module."""
    checkpoint = torch.load(sound, weights_only=True)
    torch.save({key: value for key, value in checkpoint.items() if key != "memtrain"}, file)


def no_checkpoint(sound: Path, file: Path) -> None:
    file.write_text("steps,loss\n1,2.3\n")


COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "generate": lambda file, _: ["generate", "--checkpoint", str(file), "--prompt", "1 0 2"],
    "export": lambda file, folder: ["export", str(file), f"--output={folder}"],
    "init_from": lambda file, folder: stage("fit", f"--model.init_from={file}", directory=folder),
    "fit": lambda file, folder: stage("fit", f"--ckpt_path={file}", directory=folder),
    "fit last": lambda file, _: stage("fit", "--ckpt_path=last", directory=file.parents[1]),
    "validate": lambda file, folder: stage("validate", f"--ckpt_path={file}", directory=folder),
    "test": lambda file, folder: stage("test", f"--ckpt_path={file}", directory=folder),
    "predict": lambda file, folder: stage("predict", f"--ckpt_path={file}", directory=folder),
}


def test_the_trap_springs_where_a_checkpoint_is_loaded_without_care(sound: Path, tmp_path: Path) -> None:
    with_code(sound, tmp_path / "trap.ckpt")
    torch.load(tmp_path / "trap.ckpt", weights_only=False)
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("spoil", [with_code, truncated, empty, foreign, no_checkpoint])
def test_a_file_that_is_no_checkpoint_of_memtrain_is_refused(
    spoil: Callable[[Path, Path], None], command: str, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "spoilt" / "checkpoints" / "last.ckpt"
    file.parent.mkdir(parents=True)
    spoil(sound, file)
    content = file.read_bytes()
    refuse(COMMANDS[command](file, tmp_path / "new"), "spoilt", capsys)
    assert file.read_bytes() == content
    assert not file.with_name("sprung").exists()
    assert not (tmp_path / "new" / "checkpoints").exists()


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "fit last"])
def test_a_checkpoint_that_is_not_there_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(COMMANDS[command](tmp_path / "nowhere.ckpt", tmp_path / "new"), "nowhere.ckpt", capsys)
    assert not (tmp_path / "new" / "checkpoints").exists()


def refuse(words: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Check that a command fails with one sentence, which names the file."""
    capsys.readouterr()
    assert main(words) in (1, 2)
    shown = capsys.readouterr().err
    said = [line for line in shown.splitlines() if line.startswith("memtrain: ")]
    assert len(said) == 1
    assert named in said[0]
    assert "Traceback" not in shown
