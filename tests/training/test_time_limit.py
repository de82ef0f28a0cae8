"""A signal of the cluster in the middle of a step is heeded between two steps, and nothing is lost or done twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from test_stop_and_continue import assert_equal, without_seconds

from memtrain.checkpoints import load_checkpoint
from memtrain.cli import main
from memtrain.files import LAST_CHECKPOINT
from memtrain.training import SMTModule
from memtrain.training.step import Outcome, Step

CONF = Path(__file__).parents[1] / "conf"
JOB = {"SLURM_ARRAY_JOB_ID": "770", "SLURM_ARRAY_TASK_ID": "3", "SLURM_JOB_ID": "771", "SLURM_JOB_NAME": "tiny"}
TASK = JOB | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
STEPS = 8
SEVERED = "TEST_SEVERED"
"""Environment variable: the step in which power fails."""
SIGNALED = "TEST_SIGNALED"
"""Environment variable: where a signal comes, in which step, and which: `losses 4 SIGUSR1`, or `update` for losses."""
RANK = "TEST_RANK"
"""Environment variable: the process to which the signal comes."""


def signaled(place: str, step: int) -> None:
    """Send this process the signal that is due here."""
    where, number, name = os.environ.get(SIGNALED, "nowhere -1 SIGUSR1").split()
    if (where, int(number)) == (place, step) and os.environ.get("LOCAL_RANK", "0") == os.environ.get(RANK, "0"):
        os.kill(os.getpid(), signal.Signals[name])


class SignaledModule(SMTModule):
    """Two networks, trained together, in whose steps signals come."""

    def losses(self, step: Step) -> Outcome:
        if os.environ.get(SEVERED) == str(step.number):
            raise ValueError("the power is gone")
        signaled("losses", step.number)
        return super().losses(step)

    def configure_optimizers(self) -> Any:
        found = super().configure_optimizers()
        optimizer, schedule = found["optimizer"], found["lr_scheduler"]["scheduler"]
        optimizer.register_step_post_hook(lambda *_: signaled("update", schedule.last_epoch))  # then the schedule's
        return found


def words(folder: Path, *more: str) -> list[str]:
    """`memtrain fit`: a validation every third step, a checkpoint with each."""
    files = [word for name in ("trainer", "smt", "retrieval") for word in ("--config", str(CONF / f"{name}.yaml"))]
    steps = [f"--trainer.max_steps={STEPS}", "--trainer.val_check_interval=3", "--model.warmup_steps=3"]
    return ["fit", *files, f"--model={__name__}.SignaledModule", f"--trainer.default_root_dir={folder}", *steps, *more]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process is a task of SLURM; the folder in which `scontrol` notes what it is told, beside the checkpoint."""
    programs, told = tmp_path / "bin", tmp_path / "told"
    programs.mkdir()
    told.mkdir()
    last = tmp_path / "run" / LAST_CHECKPOINT
    (programs / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {told}/words\ncp {last} {told}/saved.ckpt\n')
    (programs / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    for name, value in TASK.items():
        monkeypatch.setenv(name, value)
    return told


@pytest.mark.parametrize(
    ("place", "step", "saved"),
    [("losses", 3, 4), ("update", 3, 4), ("losses", 5, 6)],  # the last is followed by a validation
)
def test_a_job_near_its_time_limit_saves_between_steps_and_continues_exactly(
    place: str,
    step: int,
    saved: int,
    job: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, part, beside = tmp_path / "whole", tmp_path / "run", tmp_path / "beside"
    assert main(words(whole)) == 0
    with monkeypatch.context() as until:
        until.setenv(SEVERED, str(saved))
        assert main(words(beside, "--checkpoint_every=1")) == 1
    with monkeypatch.context() as until:
        until.setenv(SIGNALED, f"{place} {step} SIGUSR1")
        until.setenv(SEVERED, str(saved + 1))  # SLURM's end of this turn, as hard as it can be
        assert main(words(part, "--checkpoint_every=100")) == 1
    assert capsys.readouterr().err.count("memtrain: the power is gone") == 2
    assert (job / "words").read_text() == "requeue 770_3\n"
    assert not list(part.glob("hpc_ckpt*"))
    state = load_checkpoint(job / "saved.ckpt")
    assert state["global_step"] == saved
    assert_equal(state, load_checkpoint(beside / LAST_CHECKPOINT))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert main(words(part, "--checkpoint_every=100")) == 0
    assert_equal(*(load_checkpoint(folder / LAST_CHECKPOINT) for folder in (whole, part)))
    rows = [(folder / "metrics.csv").read_text().splitlines() for folder in (whole, part)]
    assert without_seconds(rows[0]) == without_seconds(rows[1])


def test_a_job_that_cannot_go_back_to_the_queue_goes_on_and_says_so(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin" / "scontrol").write_text("#!/bin/sh\necho 'Requested operation is disabled' >&2\nexit 1\n")
    monkeypatch.setenv(SIGNALED, "losses 3 SIGUSR1")
    with pytest.warns(UserWarning, match=r"Job 770_3 could not .* \(Requested operation is disabled\)"):
        assert main(words(tmp_path / "run")) == 0
    assert load_checkpoint(tmp_path / "run" / LAST_CHECKPOINT)["global_step"] == STEPS


@pytest.mark.slow
def test_two_processes_of_which_one_is_told_to_end_finish_their_step_and_continue_exactly(tmp_path: Path) -> None:
    two = ["--trainer.strategy=ddp", "--trainer.devices=2", "--data.batch_size=2", "--checkpoint_every=100"]
    whole, part = tmp_path / "whole", tmp_path / "part"

    def trained(folder: Path, *more: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "memtrain", *words(folder, *two, *more)]
        paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        own = {**os.environ, "PYTHONPATH": paths, **environment}
        return subprocess.run(command, env=own, capture_output=True, text=True, timeout=120)

    assert trained(whole).returncode == 0
    ended = trained(part, **{SIGNALED: "losses 4 SIGTERM", RANK: "1"})
    assert ended.returncode == 1, ended.stderr
    assert "memtrain: told to end by SIGTERM after 5 optimizer steps" in ended.stderr
    assert load_checkpoint(part / LAST_CHECKPOINT)["global_step"] == 5
    assert trained(part, "--ckpt_path=last").returncode == 0
    states = [load_checkpoint(folder / LAST_CHECKPOINT)["state_dict"] for folder in (whole, part)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
