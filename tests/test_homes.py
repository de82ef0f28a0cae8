"""A leading `~` is the home folder in every option that is a path, however it is written, in every command."""

import shutil
from pathlib import Path

import pytest

from memtrain.cli import main
from memtrain.files import expanded

CONF = Path(__file__).parent / "conf"


def test_every_command_finds_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    shutil.copytree(CONF, home / "conf")
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    files = [f"--config=~/conf/{name}.yaml" for name in ("trainer", "bptt", "retrieval")]
    short = ["--trainer.default_root_dir=~/fit", "--trainer.max_steps=1"]
    assert main(["fit", *files, *short]) == 0
    last = "~/fit/checkpoints/last.ckpt"
    assert main(["fit", *files, "--trainer.default_root_dir=~/next", f"--model.init_from={last}", *short[1:]]) == 0
    assert main(["test", *files, "--trainer.default_root_dir=~/read", f"--ckpt_path={last}"]) == 0
    assert main(["generate", f"--checkpoint={last}", "--prompt=1 0 2", "--output=~/drawn.txt"]) == 0
    smallest = ["--methods=bptt", "--set", "budget.steps=1", "--index=0"]
    assert main(["run", "~/conf/experiment.yaml", "--output=~/runs", *smallest]) == 0
    assert main(["compare", "~/runs", "--output=~/table"]) == 0
    shutil.copy(home / "table" / "comparison.csv", home / "table" / "results.csv")
    (home / "table" / "figure.png").unlink(missing_ok=True)
    assert main(["figures", "~/table"]) == 0
    for made in ("fit/config.yaml", "next/config.yaml", "read/test.csv", "drawn.txt", "table/figure.png"):
        assert (home / made).is_file(), made
    assert list(work.iterdir()) == []


def test_what_is_called_like_a_home_folder_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert expanded("--output", "~/runs") == tmp_path / "home" / "runs"
    Path("~nobody-of-this-name").mkdir()
    assert expanded("--output", "~nobody-of-this-name") == Path("~nobody-of-this-name")
    assert expanded("--output", "a/~") == Path("a/~")
