"""What a run needs once the stages before it have moved, and the encodings of the machine it moves to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from memtrain.checkpoints import load_checkpoint
from memtrain.cli import main

CONF = Path(__file__).parents[1] / "conf"


def words(command: str, stage: str, folder: Path, *more: str) -> list[str]:
    files = [word for name in ("trainer", stage, "retrieval") for word in ("--config", str(CONF / f"{name}.yaml"))]
    return [command, *files, f"--trainer.default_root_dir={folder}", *more]


@pytest.fixture
def smt(tmp_path: Path) -> Path:
    """Two of four steps of a stage whose source has moved since."""
    teacher, smt = tmp_path / "teacher", tmp_path / "smt"
    assert main(words("fit", "teacher", teacher)) == 0
    source = ["--model.network=null", f"--model.init_from={teacher / 'checkpoints' / 'last.ckpt'}"]
    assert main(words("fit", "smt", smt, *source, "--trainer.max_steps=2")) == 0
    shutil.move(teacher, tmp_path / "elsewhere")
    return smt


@pytest.mark.parametrize("command", ["test", "validate", "predict"])
def test_a_stage_is_read_after_the_folder_of_the_stage_before_has_moved(
    command: str, smt: Path, tmp_path: Path
) -> None:
    checkpoint = f"--ckpt_path={smt / 'checkpoints' / 'last.ckpt'}"
    own = ["--config", str(smt / "config.yaml"), f"--trainer.default_root_dir={tmp_path / 'read'}", checkpoint]
    assert main([command, *own]) == 0
    assert list((tmp_path / "read").glob("*.csv"))


def test_a_stage_is_continued_after_the_folder_of_the_stage_before_has_moved(smt: Path) -> None:
    own = ["--config", str(smt / "config.yaml"), f"--trainer.default_root_dir={smt}", "--ckpt_path=last"]
    assert main(["fit", *own, "--trainer.max_steps=4"]) == 0
    last = load_checkpoint(smt / "checkpoints" / "last.ckpt")
    assert last["global_step"] == 4
    assert last["memtrain"]["counters"]["steps"] == 8
    assert [entry["stage"] for entry in last["memtrain"]["provenance"]] == ["teacher"]
    recorded = yaml.safe_load((smt / "config.yaml").read_text(encoding="utf-8"))
    assert "teacher" in recorded["model"]["init_args"]["init_from"]


def test_a_stage_is_not_started_anew_after_the_stage_before_has_moved(
    smt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--config", str(smt / "config.yaml"), f"--trainer.default_root_dir={tmp_path / 'new'}"]) == 1
    assert "model.init_from is " in capsys.readouterr().err


@pytest.mark.slow
def test_a_configuration_with_a_micro_sign_is_read_and_recorded_whatever_the_locale(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    own = tmp_path / "own.yaml"
    own.write_text(f"trainer: {{max_steps: 1, default_root_dir: {folder}}}  # µ\n", encoding="utf-8")
    command = [sys.executable, "-m", "memtrain", *words("fit", "bptt", folder)[:-1], "--config", str(own)]
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, env={**os.environ, **plain}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["trainer"]["max_steps"] == 1


@pytest.mark.parametrize(
    ("damage", "status"),
    [(lambda text: b"\xef\xbb\xbf" + text, 0), (lambda text: text.replace(b",", b";"), 1), (lambda _: b"\x91\x00", 1)],
)
def test_a_table_that_a_spreadsheet_has_saved_again_is_continued_or_named(
    damage: object, status: int, smt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = smt / "metrics.csv"
    table.write_bytes(damage(table.read_bytes()))  # type: ignore[operator]
    own = ["--config", str(smt / "config.yaml"), f"--trainer.default_root_dir={smt}", "--ckpt_path=last"]
    assert main(["fit", *own, "--trainer.max_steps=3"]) == status
    said = capsys.readouterr().err
    if status:
        assert f"{table} is not as the run has written it" in said
    else:
        assert [line.split(",")[0] for line in table.read_text().splitlines()] == ["step", "0", "1", "2"]
