"""A run that continues on other files than it began with is refused, or told."""

import json
import os
from pathlib import Path

import pytest
from lightning import seed_everything

from memtrain.cli import main
from memtrain.data import Retrieval
from memtrain.data.seen import local_paths
from memtrain.experiment.identity import files_hash, own_files

CONF = Path(__file__).parents[1] / "conf"


def fit(folder: Path, *more: str) -> int:
    """Two steps of BPTT on a text, or what is left of four."""
    files = [word for name in ("trainer", "bptt") for word in ("--config", str(CONF / f"{name}.yaml"))]
    data = ["--data=memtrain.data.TextDataModule", f"--data.path={folder / 'texts'}", "--data.length=8"]
    small = ["--data.batch_size=2", "--data.evaluation_samples=4", f"--data.cache_folder={folder / 'cache'}"]
    return main(["fit", *files, *data, *small, f"--trainer.default_root_dir={folder / 'run'}", *more])


@pytest.fixture
def story(tmp_path: Path) -> Path:
    """A text on which two steps have been trained."""
    seed_everything(0, verbose=False)
    story = tmp_path / "texts" / "story.txt"
    story.parent.mkdir()
    story.write_text("".join(f"{n * n} is the square of {n}. " for n in range(300)), encoding="utf-8")
    assert fit(tmp_path, "--trainer.max_steps=2") == 0
    return story


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_a_checkpoint_is_read_on_files_of_its_own(command: str, story: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main([command, f"--config={run / 'config.yaml'}", f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"]) == 0


def test_a_column_that_is_called_as_a_folder_here_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("load", "day", "table.csv"):
        (tmp_path / name).touch()
    assert local_paths({"path": "table.csv", "time": "day", "targets": ["load"]}) == {"path": [Path("table.csv")]}


def test_a_run_continues_on_the_files_it_began_with(story: Path, tmp_path: Path) -> None:
    assert fit(tmp_path, "--trainer.max_steps=4", "--ckpt_path=last") == 0


def test_a_run_whose_text_has_grown_is_not_continued(
    story: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story.write_text(story.read_text(encoding="utf-8") + "One more sentence.", encoding="utf-8")
    assert fit(tmp_path, "--trainer.max_steps=4", "--ckpt_path=last") == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("memtrain: ")]
    assert len(said) == 1
    assert "texts, whose files have changed since the checkpoint was written; bring the former files back" in said[0]


def test_a_run_whose_file_has_another_time_of_change_is_warned(story: Path, tmp_path: Path) -> None:
    os.utime(story, (1, 1))
    with pytest.warns(UserWarning, match="names and sizes are the same, times of change are not"):
        assert fit(tmp_path, "--trainer.max_steps=4", "--ckpt_path=last") == 0


class OwnFiles(Retrieval):
    """A user's data, whose files no option called `path` names."""

    def __init__(
        self,
        root: str,
        labels: str | None = None,
        parts: list[str] | None = None,
        column: str = "text",
        cache_folder: str | None = None,
        length: int = 8,
        batch_size: int = 4,
        evaluation_samples: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__(length=length, batch_size=batch_size, evaluation_samples=evaluation_samples, seed=seed)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Options of `OwnFiles`, and what they name."""
    for name in ("rows/a.bin", "labels.csv", "parts/1.npy", "parts/2.npy", "cache/made.bin", "text/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1234")
    monkeypatch.chdir(tmp_path)
    parts = [str(tmp_path / "parts" / "1.npy"), str(tmp_path / "parts" / "2.npy")]
    return {"root": "rows", "labels": "labels.csv", "parts": parts, "cache_folder": "cache"}


def grown(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"5")


READ = [("rows/a.bin", "root"), ("labels.csv", "labels"), ("parts/2.npy", "parts")]
NOT_READ = ["cache/made.bin", "text/notes.txt"]


def test_a_run_on_own_data_is_not_continued_once_a_file_of_any_option_has_changed(
    own: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [word for name in ("trainer", "bptt") for word in ("--config", str(CONF / f"{name}.yaml"))]
    options = [f"--data.{name}={json.dumps(value) if name == 'parts' else value}" for name, value in own.items()]
    words = ["fit", *files, f"--data={__name__}.OwnFiles", *options, f"--trainer.default_root_dir={tmp_path / 'run'}"]
    assert main([*words, "--trainer.max_steps=1"]) == 0
    for name in NOT_READ:
        grown(tmp_path / name)
    assert main([*words, "--trainer.max_steps=2", "--ckpt_path=last"]) == 0
    capsys.readouterr()
    for name, option in READ:
        before = (tmp_path / name).stat()
        grown(tmp_path / name)
        assert main([*words, "--trainer.max_steps=3", "--ckpt_path=last"]) == 1
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("memtrain: ")]
        assert len(said) == 1
        assert said[0].startswith(f"memtrain: data.{option} is {own[option]}, whose files have changed since")
        (tmp_path / name).write_bytes(b"1234")
        os.utime(tmp_path / name, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert main([*words, "--trainer.max_steps=3", "--ckpt_path=last"]) == 0


def test_results_on_own_data_are_of_the_files_that_any_option_names(own: dict[str, object], tmp_path: Path) -> None:
    options = {"length": 8, "column": "text", **own}
    configuration = {"data": {"class_path": f"{__name__}.OwnFiles", "init_args": options}}
    before = own_files(configuration)
    assert list(before) == ["root", "labels", "parts"]
    for name, option in READ:
        grown(tmp_path / name)
        files_hash.cache_clear()  # which the next process does not have
        after = own_files(configuration)
        assert {key for key in after if after[key] != before[key]} == {option}
        before = after
    for name in NOT_READ:
        grown(tmp_path / name)
    files_hash.cache_clear()
    assert own_files(configuration) == before


@pytest.mark.parametrize("value", ["", ".", "./", "/", "..", "a/\0b", "a" * 5000, "~nobody-of-this-name", "owner/name"])
def test_what_is_no_path_counts_as_none(value: str) -> None:
    assert local_paths({"root": value, "number": 7, "nothing": None, "many": [value, 0.5]}) == {}


def test_files_in_a_home_folder_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.txt").touch()
    assert local_paths({"nested": {"file": "~/a.txt"}}) == {"nested": [tmp_path / "a.txt"]}
