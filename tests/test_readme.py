"""The README's examples, taken from it and run as written from a folder outside memtrain, only for fewer steps."""

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
