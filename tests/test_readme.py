"""The README's examples, taken from it and run as written from a folder outside memtrain, only for fewer steps."""

import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from memtrain.cli import main
from memtrain.data.blocks import split_numbers_of

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
SMALL = ["budget.steps=6", "evaluation.samples=16", "data.init_args.batch_size=4"]


def commands(start: str) -> list[list[str]]:
    """The commands of a bash block that begins with `start`, in words."""
    (block,) = (content for language, content in BLOCKS if language == "bash" and content.startswith(start))
    return [shlex.split(line, comments=True) for line in block.replace("\\\n", "").splitlines()]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory of a user who has saved the examples."""
    for _, content in BLOCKS:
        name = re.match(r"# (mine/\S+)\n", content)
        if name:
            (tmp_path / name[1]).parent.mkdir(exist_ok=True)
            (tmp_path / name[1]).write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        del sys.modules[name]


def test_an_example_is_complete_in_less_than_30_lines(mine: Path) -> None:
    files = sorted(mine.rglob("mine/*.*"))
    assert [file.name for file in files] == ["cell.py", "data.py", "experiment.yaml", "rows.py"]
    assert all(len(file.read_text().splitlines()) < 30 for file in files)


def shortened(words: list[str]) -> list[str]:
    """A `memtrain fit` of two steps, with the configurations of this checkout."""
    words = [str(README.parent / word) if word.startswith("configs/") else word for word in words[1:]]
    words += ["--trainer.max_steps=2", "--trainer.limit_val_batches=0", "--data.batch_size=2"]
    return [*words, "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]


def test_the_own_csv_is_forecast_in_two_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    times = pd.date_range("2024-01-01", periods=300, freq="h")
    frame = pd.DataFrame({"time": times, "load": np.sin(np.arange(300) / 4), "heat": np.arange(300) % 24})
    frame.loc[::7, "load"] = np.nan
    frame.sample(frac=1, random_state=0).to_csv("sensors.csv", index=False)
    fit, forecast = commands("memtrain fit --config configs/model/bptt_gru.yaml --config configs/data/table.yaml")
    with pytest.warns(UserWarning, match=r"sensors.csv: rows are sorted by time\."):
        assert main(shortened(fit)) == 0
    with pytest.warns(UserWarning, match=r"sensors.csv: rows are sorted by time\."):
        assert main([*forecast[1:], "--samples", "2"]) == 0
    assert Path("forecast.png").read_bytes().startswith(b"\x89PNG")


def test_own_logs_are_cloned_and_the_clone_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gymnasium", reason="pip install 'memtrain[control]'")
    monkeypatch.chdir(tmp_path)
    seen = np.random.default_rng(0).normal(size=(200, 4))
    np.savez("logs.npz", observations=seen, actions=(seen[:, 2] > 0).astype(int), terminals=np.arange(200) % 10 == 9)
    fit, evaluate = commands("memtrain fit --config configs/model/bptt_gru.yaml --config configs/data/episodes.yaml")
    assert main(shortened(fit)) == 0
    assert main([*evaluate[1:], "--episodes", "2"]) == 0
    assert "policy: return" in capsys.readouterr().out


@pytest.mark.slow
def test_an_export_streams_and_generates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript", reason="pip install 'memtrain[onnx]'")
    monkeypatch.chdir(tmp_path)
    for fit in commands("memtrain fit --config configs/model/smt.yaml")[:2]:
        assert main(shortened(fit)) == 0
    export, (_, line, _, *stream), generate = commands("memtrain export")
    assert main(export[1:]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line.replace("\\n", "\n").encode())))
    capsys.readouterr()
    assert main(stream[1:]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3  # a prediction after each token
    assert main(generate[1:]) == 0
    assert capsys.readouterr().out.startswith("1 0 2 ")


def test_every_file_that_the_readme_names_is_there() -> None:
    named = re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", README.read_text())
    assert "configs/data/table.yaml" in named
    assert [name for name in named if not (README.parent / name).exists()] == []


def test_the_own_cell_and_data_train_in_all_stages_are_compared_and_generate(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, compare, generate = (words[1:] for words in commands("memtrain run mine/"))
    changes = [word for change in SMALL for word in ("--set", change)]
    for index in range(2):
        assert main([*run, *changes, "--output", "runs/mine", "--index", str(index)]) == 0
    assert main(compare) == 0
    rows = pd.read_csv("runs/mine/comparison.csv")[["method", "reading"]]
    found = set(rows.itertuples(index=False, name=None))
    assert found == {("smt_dmt", "teacher"), ("smt_dmt", "rnn"), ("bptt", "rnn")}
    capsys.readouterr()
    for checkpoint in Path("runs/mine").glob("*/32/0/*/checkpoints/last.ckpt"):
        if checkpoint.parents[1].name != "teacher":
            assert main([*generate[:1], "--checkpoint", str(checkpoint), *generate[3:]]) == 0
            assert capsys.readouterr().out.startswith("1 2 3 4 ")


def test_rows_of_an_array_are_trained_on_in_random_orders_and_compared(mine: Path) -> None:
    np.save("rows.npy", np.random.default_rng(0).integers(0, 10, (230, 32)))
    changes = ["data={class_path: mine.rows.Rows}", "difficulty=null", *SMALL]
    words = [word for change in changes for word in ("--set", change)]
    assert main(["run", "mine/experiment.yaml", *words, "--output", "runs/rows", "--index", "1"]) == 0
    from mine.rows import Rows  # type: ignore[import-not-found]

    first, again = (Rows(seed=seed).dataset("train").__getitems__(range(60)).inputs for seed in (0, 1))
    assert not torch.equal(first, again)  # the seed draws the order
    assert not torch.equal(first[:30], first[30:])  # and each pass has another
    assert torch.equal(*(part.unique(dim=0) for part in (first[:30], first[30:])))  # of the same rows


def test_the_own_data_echo_and_no_row_is_in_two_splits(mine: Path) -> None:
    from mine.data import Echo  # type: ignore[import-not-found]

    data = Echo(sequence_length=16, evaluation_samples=32)
    for split, number in (("train", 0), ("val", 1), ("test", 2)):
        batch = data.dataset(split).__getitems__(range(32))
        assert (batch.targets[:, 3:] == batch.inputs[:, :-3]).all()
        assert set(split_numbers_of(batch.inputs.numpy())) == {number}


def test_the_cluster_command_writes_its_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(README.parent)
    slurm = commands("memtrain run experiments/retrieval")[-1]
    assert main([*slurm[1:], "--dry-run", "--output", str(tmp_path)]) == 0
    script = (tmp_path / "slurm" / "runs.sh").read_text()
    for line in ("partition=gpu", "mem=64G", "gres=gpu:4", "ntasks-per-node=4"):
        assert f"#SBATCH --{line}\n" in script


@pytest.mark.slow
def test_the_commands_run_as_written_in_the_folder_of_the_examples(mine: Path) -> None:
    """The console script and the processes that it starts find the examples by themselves."""
    for words in commands("memtrain run mine/"):
        small = [word for change in SMALL for word in ("--set", change)] if words[1] == "run" else []
        command = [str(Path(sys.executable).parent / words[0]), *words[1:], *small]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
