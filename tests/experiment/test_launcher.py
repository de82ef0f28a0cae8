"""Processes of runs: how they end is told."""

import io
import signal
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from memtrain.experiment import runner
from memtrain.experiment.launcher import ending, finish, launch, start
from memtrain.experiment.plan import RunPlan
from memtrain.experiment.progress import ProgressFile
from memtrain.experiment.reading import read_experiment
from memtrain.experiment.runner import local_jobs
from memtrain.experiment.runs import Run
from memtrain.files import read_json
from memtrain.lock import only_worker

FILE = Path(__file__).parents[1] / "conf" / "experiment.yaml"


def test_a_killed_run_names_its_signal() -> None:
    assert ending(-signal.SIGKILL) == "was killed by SIGKILL"
    assert ending(1) == "failed with status 1"


def test_each_attempt_starts_a_fresh_log_and_a_killed_one_is_told(tmp_path: Path) -> None:
    run = Run("bptt", 8, 0)
    folder = tmp_path / run.folder
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("the attempt before\n")
    shown = io.StringIO()
    console = Console(file=shown, width=1000)
    with Progress(console=console, disable=True) as progress:
        job = start(RunPlan(0, run, []), tmp_path / "experiment.yaml", tmp_path, progress)
        job.process.kill()
        job.process.wait()
        assert not finish(job, progress)
    assert "the attempt before" not in (folder / "log.txt").read_text()
    assert "The run bptt 8 seed 0 was killed by SIGKILL" in shown.getvalue()


def test_a_run_that_another_process_works_on_is_left_out_and_its_log_stays(tmp_path: Path) -> None:
    run = Run("bptt", 8, 0)
    shown = io.StringIO()
    with only_worker("--output", tmp_path / run.folder):
        (tmp_path / run.folder / "log.txt").write_text("at work\n")
        failed = launch([RunPlan(0, run, [])], tmp_path / "e.yaml", tmp_path, 1, Console(file=shown, width=1000))
    assert failed == [run]
    assert "The run bptt 8 seed 0 is left out: " in shown.getvalue()
    assert (tmp_path / run.folder / "log.txt").read_text() == "at work\n"


def test_the_bars_are_of_the_runs_at_work(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=1000)
    with Progress(console=console, disable=True) as progress:
        plans = [RunPlan(seed, Run("bptt", 8, seed), []) for seed in (0, 1)]
        first, second = (start(plan, tmp_path / "e.yaml", tmp_path, progress) for plan in plans)
        for job in (first, second):
            job.process.kill()
            job.process.wait()
        finish(first, progress)
        assert [task.description for task in progress.tasks] == ["bptt 8 seed 1"]
        second.log.close()


def test_runs_share_a_cpu_and_not_a_gpu_that_times_them(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = read_experiment(FILE)  # on a CPU, a budget in steps
    assert local_jobs(experiment, None) == 2
    monkeypatch.setattr(runner, "has_gpu", lambda: True)
    assert local_jobs(experiment, None) == 2
    gpu = read_experiment(FILE, ["trainer.accelerator=auto"])
    assert local_jobs(gpu, None) == 1
    assert local_jobs(gpu, 3) == 3
    timed = read_experiment(FILE, ["stages.smt.trainer.accelerator=gpu", "budget={seconds: 9}"])
    with pytest.raises(ValueError, match="--jobs is 3, but runs that share a GPU slow each other down"):
        local_jobs(timed, 3)


def test_a_stage_that_is_evaluated_keeps_its_fraction(tmp_path: Path) -> None:
    progress = ProgressFile(tmp_path / "progress.json")
    progress.finish(0.75)
    progress.report("dmt", "evaluating", 0.25)
    assert read_json(progress.path)["fraction"] == 1.0
