"""`memtrain fit` with two processes, each stage from the one before, against one process with the whole batch."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from memtrain.checkpoints import load_checkpoint
from memtrain.cli import main

CONF = Path(__file__).parents[1] / "conf"
TWO = ["--trainer.strategy=ddp", "--trainer.devices=2", "--data.batch_size=2"]


def words(stage: str, folder: Path, source: Path | None) -> list[str]:
    """`memtrain fit` of a stage with files of tests/conf, batches of 4."""
    files = [word for name in ("trainer", stage, "retrieval") for word in ("--config", str(CONF / f"{name}.yaml"))]
    more = ["--model.uniformity_weight=0"] if stage in ("teacher", "smt") else []  # it is of each process's own
    if source is not None:
        more += [f"--model.init_from={source}", "--model.network=null"]
    return ["fit", *files, f"--trainer.default_root_dir={folder}", *more]


def logged(folder: Path, name: str) -> list[float]:
    return [float(row[name]) for row in csv.DictReader((folder / "metrics.csv").open()) if row[name]]


@pytest.mark.slow
def test_two_processes_train_the_stages_as_one_does(tmp_path: Path) -> None:
    source = None
    for stage in ("teacher", "smt", "dmt", "bptt"):
        one, two = tmp_path / f"{stage}-1", tmp_path / f"{stage}-2"
        assert main(words(stage, one, source)) == 0
        command = [sys.executable, "-m", "memtrain", *words(stage, two, source), *TWO]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stderr
        assert logged(two, "train/loss") == pytest.approx(logged(one, "train/loss"), rel=1e-4)
        metric = f"val/{'teacher' if stage == 'teacher' else 'rollout'}/loss"
        assert logged(two, metric) == pytest.approx(logged(one, metric), rel=1e-3)
        counted = [load_checkpoint(f / "checkpoints" / "last.ckpt")["memtrain"]["counters"] for f in (one, two)]
        for counter in ("steps", "tokens", "sequential_flops", "gradient_steps"):
            assert counted[0][counter] == counted[1][counter], counter
        source = one / "checkpoints" / "last.ckpt"
