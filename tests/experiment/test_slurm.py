"""Runs on a SLURM cluster: the script, its submission, and its tasks under an emulated srun."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from memtrain.checkpoints import load_checkpoint
from memtrain.cli import main
from memtrain.spans import spans

FILE = Path(__file__).parents[1] / "conf" / "experiment.yaml"
GRID = "grid={options: {bptt: {bptt.model.learning_rate: [1e-3, 3e-3]}}, unequal: true, seeds: [9]}"
JOB = {"SLURM_ARRAY_JOB_ID": "770", "SLURM_ARRAY_TASK_ID": "0", "SLURM_JOB_ID": "771", "SLURM_JOB_NAME": "tiny"}
TASK = JOB | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
SRUN = f"""#!{sys.executable}
# The part of srun that matters here: as many processes as asked for, each told its rank.
import os, re, subprocess, sys
options = [word for word in sys.argv[1:] if word.startswith("--") and "=" in word]
asked = dict(word[2:].split("=", 1) for word in options)
command = sys.argv[1 + len([w for w in sys.argv[1:] if re.match("--(nodes|ntasks|cpus|kill)", w)]):]
tasks = asked["ntasks-per-node"]
shared = {{"SLURM_NTASKS": tasks, "SLURM_NTASKS_PER_NODE": tasks, "SLURM_NNODES": asked["nodes"], "SLURM_NODEID": "0"}}
shared |= {{"SLURM_NODELIST": "127.0.0.1", "SLURM_STEP_ID": "0"}}
ranks = [os.environ | shared | {{"SLURM_PROCID": str(r), "SLURM_LOCALID": str(r)}} for r in range(int(tasks))]
running = [subprocess.Popen(command, env=rank) for rank in ranks]
sys.exit(max(abs(process.wait()) for process in running))
"""


def program(folder: Path, name: str, content: str) -> Path:
    """An executable file."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content)
    (folder / name).chmod(0o755)
    return folder


def words(directory: Path, *changes: str) -> list[str]:
    """`memtrain run --launcher slurm`."""
    asked = [word for change in changes for word in ("--set", change)]
    return ["run", str(FILE), "--output", str(directory), "--launcher", "slurm", *asked]


def script(directory: Path, *changes: str) -> Path:
    """The batch script of both runs."""
    assert main([*words(directory, *changes), "--dry-run"]) == 0
    return directory / "slurm" / "runs.sh"


def options(file: Path) -> dict[str, str]:
    """The `#SBATCH` lines."""
    return dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", file.read_text(), re.MULTILINE))


def environment(programs: Path, **changes: str) -> dict[str, str]:
    """That of a batch script on a cluster with these programs."""
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **JOB, "PATH": path, "OMP_NUM_THREADS": "1", **changes}


def test_the_script_asks_for_what_the_file_says(tmp_path: Path) -> None:
    changes = [
        "slurm={partition: gpu, hours: 1.5, cpus: 6, memory: 32G, options: {account: lab}, setup: [module load x]}"
    ]
    file = script(tmp_path, *changes, "trainer={accelerator: gpu, devices: 4, num_nodes: 2}")
    asked = options(file)
    assert asked == {
        "job-name": "tiny", "array": "0-1", "chdir": str(Path.cwd()), "output": str(tmp_path / "slurm" / "runs-%a.log"),
        "open-mode": "append", "partition": "gpu", "time": "90", "nodes": "2", "ntasks-per-node": "4",
        "cpus-per-task": "6", "gres": "gpu:4", "mem": "32G", "signal": "B:USR1@120", "account": "lab", "requeue": "",
    }  # fmt: skip
    text = file.read_text()
    assert "srun --nodes=2 --ntasks-per-node=4 --cpus-per-task=6 --kill-on-bad-exit=1 " in text  # as many as devices
    assert text.index("module load x") < text.index("srun ")
    assert subprocess.run(["bash", "-n", str(file)]).returncode == 0


def test_a_run_that_must_not_be_requeued_is_not(tmp_path: Path) -> None:
    file = script(tmp_path, "slurm.requeue=false")
    assert "no-requeue" in options(file)
    assert "USR1" not in file.read_text()


def test_folders_with_spaces_survive(tmp_path: Path) -> None:
    file = script(tmp_path / "my results")
    assert subprocess.run(["bash", "-n", str(file)]).returncode == 0
    assert f"--output '{tmp_path}/my results' --index" in file.read_text()


def test_indices_are_written_as_ranges() -> None:
    assert spans([0, 1, 2, 5, 7, 8], separator=",") == "0-2,5,7-8"


def test_tuning_is_a_job_of_its_own_that_the_runs_wait_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = tmp_path / "calls"
    programs = program(tmp_path / "bin", "sbatch", f'#!/bin/sh\necho "$@" >> {calls}\necho "12;cluster"\n')
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    program(programs, "squeue", "#!/bin/sh\n")
    directory = tmp_path / "out"
    assert main([*words(directory, GRID), "--jobs", "3"]) == 0
    tuning, runs = calls.read_text().splitlines()
    assert tuning == f"--parsable {directory}/slurm/tuning.sh"
    assert runs == f"--parsable --dependency=afterok:12 --kill-on-invalid-dep=yes {directory}/slurm/runs.sh"
    assert [options(directory / "slurm" / f"{name}.sh")["array"] for name in ("tuning", "runs")] == ["0-1%3", "2-3%3"]
    assert "job 12" in capsys.readouterr().out


def test_runs_that_are_in_the_queue_are_not_submitted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls, queue = tmp_path / "calls", tmp_path / "queue"
    program(tmp_path / "bin", "sbatch", f'#!/bin/sh\necho "$@" >> {calls}\nwc -l < {calls}\n')
    asked = tmp_path / "asked"
    programs = program(tmp_path / "bin", "squeue", f'#!/bin/sh\necho "$@" >> {asked}\ncat {queue}\n')  # JOB TASK a line
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    queue.write_text("1 0\n1 1\n2 2\n999 0\n1000 N/A\n")  # others' too
    again = [*words(tmp_path / "out", GRID), "--methods", "bptt"]
    assert main(again) == 0
    assert not asked.exists()  # no job has been submitted yet
    assert main(again) == 0  # nothing new
    assert asked.read_text() == "--noheader --array --format=%F %K\n"  # of two jobs, at once
    assert len(calls.read_text().splitlines()) == 2
    told = capsys.readouterr().out
    assert "still in SLURM's queue, as 1," in told
    assert "still in SLURM's queue, as 2," in told
    assert main(words(tmp_path / "out", GRID)) == 0  # another method, which waits for the tuning in the queue
    assert "--dependency=afterok:1 " in calls.read_text().splitlines()[2]
    assert options(tmp_path / "out" / "slurm" / "runs.sh")["array"] == "2"
    queue.write_text("1 1\n2 2\n")  # one task of the tuning has failed
    capsys.readouterr()
    assert main(again) == 0
    assert options(tmp_path / "out" / "slurm" / "tuning.sh")["array"] == "0"
    assert len(calls.read_text().splitlines()) == 4
    queue.write_text("")  # all have ended, without a result
    assert main(again) == 0
    assert len(calls.read_text().splitlines()) == 6
    program(programs, "squeue", "#!/bin/sh\necho 'slurm_load_jobs error: Socket timed out' >&2\nexit 1\n")
    assert main(again) == 1  # nothing is known, so that nothing is submitted twice
    assert "squeue does not say which jobs are in the queue (slurm_load_jobs error" in capsys.readouterr().err
    assert len(calls.read_text().splitlines()) == 6


def test_a_refusal_of_sbatch_is_told_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = program(tmp_path / "bin", "sbatch", "#!/bin/sh\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    program(programs, "squeue", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert main(words(tmp_path / "out")) == 1
    assert "runs.sh: sbatch: error: invalid partition." in capsys.readouterr().err


def test_only_what_is_left_is_submitted_and_nothing_left_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = script(tmp_path)
    (experiment,) = tmp_path.glob("experiment-*.yaml")
    assert main(["run", str(experiment), "--output", str(tmp_path), "--index", "0"]) == 0
    script(tmp_path)
    assert options(file)["array"] == "1"
    assert main(["run", str(experiment), "--output", str(tmp_path), "--index", "1"]) == 0
    capsys.readouterr()
    assert main([*words(tmp_path), "--dry-run"]) == 0
    assert "Next: tensorboard" in capsys.readouterr().out
    assert (tmp_path / "comparison.csv").exists()


def test_another_selection_of_methods_leaves_the_meaning_of_indices_as_it_is(tmp_path: Path) -> None:
    first = script(tmp_path).read_text()
    again = script(tmp_path).read_text()
    assert main([*words(tmp_path), "--dry-run", "--methods", "bptt"]) == 0
    other = (tmp_path / "slurm" / "runs.sh").read_text()
    files = [re.findall(r"experiment-\w+\.yaml", text) for text in (first, again, other)]
    assert files[0] == files[1] != files[2]
    assert (tmp_path / files[0][0]).exists()


def test_time_to_requeue_is_told_to_the_cluster_and_the_task_is_awaited(tmp_path: Path) -> None:
    file = script(tmp_path)
    started = tmp_path / "started"
    program(tmp_path / "bin", "srun", f"#!/bin/sh\ntouch {started}\nsleep 1\nexit 5\n")
    programs = program(tmp_path / "bin", "scontrol", f'#!/bin/sh\necho "$@" > {tmp_path}/told\n')
    batch = subprocess.Popen(["bash", str(file)], env=environment(programs))
    while not started.exists():
        time.sleep(0.01)
    batch.send_signal(signal.SIGUSR1)
    assert batch.wait(timeout=30) == 5  # srun's own status, after the signal
    assert (tmp_path / "told").read_text() == "requeue 770_0\n"


def test_a_task_loads_no_checkpoint_that_lies_in_its_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning would load `hpc_ckpt_1.ckpt` there, in timing and in evaluation too, and fail on this one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hpc_ckpt_1.ckpt").write_text("of another run")
    for name, value in TASK.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("memtrain.experiment.timing.TIMED_STEPS", 1)
    monkeypatch.setattr("memtrain.experiment.timing.WARM_UP_STEPS", 1)
    monkeypatch.setattr("memtrain.experiment.execution.stage_steps", lambda *_: 2)
    changes = ["--set", "budget={seconds: 1}", "--methods", "bptt"]
    assert main(["run", str(FILE), "--output", "out", "--index", "0", *changes]) == 0
    assert Path("out/timing.json").exists()
    assert Path("out/bptt/8/0/bptt/result.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hpc_ckpt_1.ckpt", "out"]


def test_a_fit_that_lightning_has_sent_back_to_the_queue_continues_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("trainer", "bptt", "retrieval")
    files = [word for name in names for word in ("--config", str(FILE.with_name(f"{name}.yaml")))]
    fit = ["fit", *files, f"--trainer.default_root_dir={tmp_path}"]
    assert main([*fit, "--trainer.max_steps=2"]) == 0
    (tmp_path / "checkpoints" / "last.ckpt").rename(tmp_path / "hpc_ckpt_1.ckpt")
    (tmp_path / "metrics.csv").unlink()
    for name, value in TASK.items():
        monkeypatch.setenv(name, value)
    assert main(fit) == 1  # another job: Lightning would continue it all the same
    assert "hpc_ckpt_1.ckpt, left by a run at its time limit; rename it to" in capsys.readouterr().err
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert main(fit) == 0
    assert load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["global_step"] == 4
    table = (tmp_path / "metrics.csv").read_text().splitlines()
    step = table[0].split(",").index("step")
    assert [row.split(",")[step] for row in table[1:]] == ["2", "3"]


def test_two_fits_that_start_together_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from memtrain.fit import MemtrainCLI

    monkeypatch.setenv("SLURM_JOB_ID", "42")
    configuration = {"model": {"class_path": "BPTTModule"}, "data": {"class_path": "Retrieval"}}
    cli = MemtrainCLI(configuration, build=False)
    first = cli.new_directory()
    assert first.name.endswith("-42")
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    assert cli.new_directory() != first
    monkeypatch.setenv("SLURM_STEP_ID", "1")
    assert cli.new_directory().name.endswith("-43")
    monkeypatch.setenv("SLURM_NTASKS", "1")  # of srun: the same for all its processes and in each turn
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    assert cli.new_directory() == Path("runs", "fit", "BPTTModule-Retrieval-43.1")
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")
    assert cli.new_directory().name.endswith("-43")


def test_a_fit_whose_machine_was_lost_continues_in_the_next_turn_of_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("trainer", "bptt", "retrieval")
    fit = ["fit", *(word for name in names for word in ("--config", str(FILE.with_name(f"{name}.yaml"))))]
    monkeypatch.chdir(tmp_path)
    for name, value in (TASK | {"SLURM_STEP_ID": "0"}).items():
        monkeypatch.setenv(name, value)
    assert main([*fit, "--trainer.max_steps=2"]) == 0
    (folder,) = Path("runs", "fit").iterdir()
    assert main(fit) == 1
    assert f"{folder}, which holds the run of" in capsys.readouterr().err  # nobody has put the job back
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert main(fit) == 0
    assert load_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == 4
    assert list(Path("runs", "fit").iterdir()) == [folder]
    shutil.copy(folder / "checkpoints" / "last.ckpt", folder / "hpc_ckpt_1.ckpt")  # of an earlier time limit
    os.utime(folder / "hpc_ckpt_1.ckpt", (0, 0))
    assert main([*fit, "--trainer.max_steps=6"]) == 0
    assert load_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == 6
    monkeypatch.delenv("SLURM_RESTART_COUNT")
    capsys.readouterr()
    assert main([*fit, f"--trainer.default_root_dir={folder}"]) == 1  # though Lightning's checkpoint is there too
    assert "give --ckpt_path last to continue it" in capsys.readouterr().err


@pytest.mark.slow
def test_two_tasks_of_srun_train_one_run_together(tmp_path: Path) -> None:
    file = script(tmp_path, "trainer={accelerator: cpu, devices: 2}", "budget={seconds: 0.5}")
    programs = program(tmp_path / "bin", "srun", SRUN)
    done = subprocess.run(["bash", str(file)], env=environment(programs), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    for stage in ("smt", "dmt"):
        folder = tmp_path / "smt_dmt" / "8" / "0" / stage
        steps = json.loads((folder / "budget.json").read_text())["steps"]
        result = json.loads((folder / "result.json").read_text())
        assert load_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == steps
    assert result["costs"]["tokens"] == result["costs"]["steps"] * 4 * 8 * 2  # rows, timesteps, processes


@pytest.mark.slow
def test_processes_that_lightning_starts_itself_train_one_run_together(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "memtrain", "run", str(FILE), "--output", str(tmp_path), "--methods", "smt_dmt"]
    done = subprocess.run(
        [*command, "--set", "trainer={accelerator: cpu, devices: 2}", "--set", "budget={seconds: 0.5}"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "smt_dmt" / "8" / "0" / "dmt" / "result.json").read_text())
    assert result["costs"]["tokens"] == result["costs"]["steps"] * 4 * 8 * 2


@pytest.mark.slow
def test_a_task_that_is_killed_and_requeued_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    programs = program(tmp_path / "bin", "srun", SRUN)
    states = []
    for name in ("whole", "killed"):
        file = script(tmp_path / name, "budget.steps=400", "methods={bptt: [bptt]}")
        stage = tmp_path / name / "bptt" / "8" / "0" / "bptt"
        last = stage / "checkpoints" / "last.ckpt"
        if name == "killed":
            batch = subprocess.Popen(["bash", str(file)], env=environment(programs), start_new_session=True)
            while not last.exists():
                time.sleep(0.01)
            os.killpg(batch.pid, signal.SIGKILL)
            batch.wait()
            assert not (stage / "result.json").exists()
        turn = environment(programs, SLURM_RESTART_COUNT="1")
        assert subprocess.run(["bash", str(file)], env=turn, timeout=240).returncode == 0
        states.append(load_checkpoint(last)["state_dict"])
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


@pytest.mark.skipif(shutil.which("sbatch") is not None, reason="here is a cluster")
def test_without_sbatch_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(tmp_path / "out")) == 1
    assert "this machine has no sbatch" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
