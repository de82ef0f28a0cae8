"""The bar that a user sees: optimizer steps of `max_steps`, and no epochs."""

import io
import re
from pathlib import Path

import pytest
from lightning.pytorch.callbacks import ProgressBar, TQDMProgressBar
from rich.console import Console

from memtrain.fit import MemtrainCLI
from memtrain.fit.progress_bar import StepBar

CONF = Path(__file__).parents[1] / "conf"


class Terminal(io.StringIO):
    """A file that says it is one."""

    def isatty(self) -> bool:
        return True


def words(command: str, folder: Path, *more: str) -> list[str]:
    files = [word for name in ("trainer", "bptt", "retrieval") for word in ("--config", str(CONF / f"{name}.yaml"))]
    return [command, *files, f"--trainer.default_root_dir={folder}", "--trainer.enable_progress_bar=true", *more]


def shown(monkeypatch: pytest.MonkeyPatch, args: list[str]) -> str:
    """What a terminal shows, without colors."""
    file = Terminal()
    console = Console(file=file, force_terminal=True, width=120)
    monkeypatch.setattr("memtrain.fit.trainer.StepBar", lambda: StepBar(console))
    MemtrainCLI(args)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())


def test_the_bar_counts_optimizer_steps_also_after_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shown(monkeypatch, words("fit", tmp_path, "--trainer.max_steps=2"))
    assert "step 0 of 2" in first
    assert "step 2 of 2" in first
    resumed = shown(monkeypatch, words("fit", tmp_path, "--ckpt_path=last"))
    assert "step 2 of 4" in resumed
    assert "step 4 of 4" in resumed
    assert re.search(r"step 4 of 4 \S+ [0-9.e+]+/s 0:00:00", resumed), resumed
    assert "train/loss" in resumed
    assert "poch" not in first + resumed


@pytest.mark.parametrize(("command", "unit"), [("test", "test batch"), ("validate", "validation batch")])
def test_what_reads_a_checkpoint_counts_its_batches(
    command: str, unit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MemtrainCLI(words("fit", tmp_path, "--trainer.max_steps=1", "--trainer.enable_progress_bar=false"))
    checkpoint = f"--ckpt_path={tmp_path / 'checkpoints' / 'last.ckpt'}"
    assert f"{unit} 4 of 4" in shown(
        monkeypatch, words(command, tmp_path, checkpoint, "--data.evaluation_batch_size=4")
    )


def bars(folder: Path, *more: str) -> list[ProgressBar]:
    cli = MemtrainCLI(words("fit", folder, "--trainer.max_steps=1", *more))
    bar = cli.trainer.progress_bar_callback
    return [] if bar is None else [bar]


def test_every_fit_has_it_unless_the_configuration_says_otherwise(tmp_path: Path) -> None:
    assert [type(bar) for bar in bars(tmp_path / "own")] == [StepBar]
    assert bars(tmp_path / "none", "--trainer.enable_progress_bar=false") == []
    other = "--trainer.callbacks=[{class_path: TQDMProgressBar}]"
    assert [type(bar) for bar in bars(tmp_path / "other", other)] == [TQDMProgressBar]


def test_a_file_holds_no_bar() -> None:
    bar = StepBar(Console(file=io.StringIO()))
    bar.open("step", total=3)
    bar.advance(2)
    bar.close()
    assert bar.console.file.getvalue() == ""  # type: ignore[attr-defined]
