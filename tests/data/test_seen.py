"""A run that continues on other files than it began with is refused, or told."""

import os
from pathlib import Path

import pytest
from lightning import seed_everything

from memtrain.cli import main

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
