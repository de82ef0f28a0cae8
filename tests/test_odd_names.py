"""Folders of results may be called anything: what is written there is found again by every command."""

import shutil
from pathlib import Path

import pytest

from memtrain.checkpoints import load_checkpoint
from memtrain.cli import main
from memtrain.files import LAST_CHECKPOINT

CONF = Path(__file__).parent / "conf"
EVERYTHING = "~ µ 50% {0} %s [1] a* b? lr=0.1 'x' $HOME a:b & a\\b, #1 \" @ ! epoch=1.ckpt"
NAMES = [
    *("a:b", "50%", "%s {0}", "[1]", "a*", "a?", "lr=0.1", "two words", "µ", "~a", "zip:a", "{a,b}", "$HOME", "'a'"),
    *('"', "a\\b", "-a", "@a", "!a", "s3:", "file:a", "epoch=1-step=2.ckpt", "a,b", "&", "a\nb"),
]
CASES = [EVERYTHING, *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES)]


def fit(folder: Path, *more: str) -> int:
    files = [word for name in ("trainer", "bptt", "retrieval") for word in ("--config", str(CONF / f"{name}.yaml"))]
    return main(["fit", *files, f"--trainer.default_root_dir={folder}", *more])


@pytest.mark.parametrize("name", CASES)
def test_a_run_of_any_name_is_trained_continued_read_and_started_from(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    # Relative, so that the name comes first; that of no home folder in full, as the refusal says.
    folder = work / name if name[0] == "~" else Path(name)
    last = folder / LAST_CHECKPOINT
    assert fit(folder, "--trainer.max_steps=1") == 0
    assert fit(folder, "--trainer.max_steps=2", "--ckpt_path=last") == 0
    assert load_checkpoint(last)["global_step"] == 2
    again = [f"--config={folder / 'config.yaml'}", f"--trainer.default_root_dir={folder / name}"]
    assert main(["test", *again, f"--ckpt_path={last}"]) == 0
    assert fit(Path("next"), f"--model.init_from={last}", "--trainer.max_steps=1") == 0
    assert load_checkpoint("next" / LAST_CHECKPOINT)["memtrain"]["counters"]["steps"] == 3
    assert main(["generate", f"--checkpoint={last}", "--prompt=1 0 2", f"--output={folder / 'drawn.txt'}"]) == 0
    assert sorted(path.name for path in work.iterdir()) == sorted([name, "next"])
    assert {path.name for path in folder.iterdir()} >= {"config.yaml", "metrics.csv", "checkpoints", name, "drawn.txt"}
    assert len(list((folder / "checkpoints").iterdir())) == 1


@pytest.mark.parametrize("name", CASES)
def test_an_experiment_of_any_folder_is_run_compared_and_drawn(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    folder = work / name
    short = ["--methods=smt_dmt", "--set", "budget.steps=4", "--set", "evaluation.difficulties=[8]"]
    assert main(["run", str(CONF / "experiment.yaml"), f"--output={folder}", *short, "--index=0"]) == 0
    assert main(["compare", str(folder), f"--output={folder / name}"]) == 0
    shutil.copy(folder / name / "comparison.csv", folder / name / "results.csv")
    assert main(["figures", str(folder / name)]) == 0
    assert (folder / name / "figure.png").is_file()
    assert sorted(path.name for path in work.iterdir()) == [name]


@pytest.mark.slow
def test_runs_in_processes_of_their_own_find_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / EVERYTHING
    run = ["run", str(CONF / "experiment.yaml"), f"--output={folder}", "--set", "budget.steps=4"]
    assert main(run) == 0
    assert (folder / "comparison.csv").is_file()
    assert main(run) == 0  # all is there


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--trainer.default_root_dir=a::b", "trainer.default_root_dir is a::b, but Lightning takes what follows ::"),
        ("--trainer.default_root_dir=#a", "--trainer.default_root_dir is #a, which YAML takes for a comment"),
        ("--trainer.default_root_dir=s3://a/b", "trainer.default_root_dir is s3://a/b, but runs are read and"),
        ("--trainer.default_root_dir=~a/b", "trainer.default_root_dir is ~a/b, but there is no such home folder"),
    ],
)
def test_a_name_that_would_be_read_as_something_else_is_refused(
    option: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fit(tmp_path / "new", option) == 1
    assert f"memtrain: {said}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
