"""Runs of an experiment file: what they leave, what is skipped, continued and refused, and how they end."""

import csv
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from memtrain import provenance
from memtrain.checkpoints import load_checkpoint
from memtrain.cli import main
from memtrain.compare import read_results
from memtrain.compare.curves import read_curves
from memtrain.experiment import execution, runner, timing, tuning
from memtrain.experiment.plan import StagePlan
from memtrain.experiment.progress import ReportProgress
from memtrain.experiment.reading import read_experiment
from memtrain.experiment.runs import list_runs
from memtrain.files import read_json
from memtrain.lock import only_worker
from memtrain.training import MemoryModule

FILE = Path(__file__).parents[1] / "conf" / "experiment.yaml"


def run(directory: Path, index: int, *changes: str) -> int:
    """`memtrain run FILE --index INDEX`."""
    words = [word for change in changes for word in ("--set", change)]
    return main(["run", str(FILE), "--output", str(directory), "--index", str(index), *words])


def read(directory: Path, stage: str, name: str = "result.json") -> Any:
    return json.loads((directory / "smt_dmt" / "8" / "0" / stage / name).read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run smt_dmt 8 seed 0, of 6 and 2 steps."""
    directory = tmp_path_factory.mktemp("finished")
    assert run(directory, 0) == 0
    return directory


def test_a_stage_leaves_budget_configuration_and_result(finished: Path) -> None:
    smt, dmt = read(finished, "smt"), read(finished, "dmt")
    assert read(finished, "smt", "budget.json")["steps"] == 6
    assert (smt["costs"]["steps"], dmt["costs"]["steps"]) == (6, 8)
    assert [e["difficulty"] for e in smt["evaluations"]] == [8, 12]
    own = smt["evaluations"][0]
    assert list(own["readings"]) == ["teacher", "rnn"]
    assert all({"accuracy", "loss", "bits"} <= set(metrics) for metrics in own["readings"].values())
    assert {"one_step/loss", "drift/relative", "drift/functional"} <= set(own["diagnostics"])
    assert 0 < smt["costs"]["sequential_depth"] < dmt["costs"]["sequential_depth"]
    assert "cost/sequential_depth" in (finished / "smt_dmt/8/0/smt/metrics.csv").read_text().splitlines()[0]
    assert own["reference_lines"]["chance"] == 1 / 8
    assert (smt["reading"], smt["score"]) == ("rnn", {"name": "accuracy", "higher_is_better": True})
    assert (smt["trained"], dmt["trained"]) == (["teacher", "rnn"], ["rnn"])
    assert (smt["encoder"], smt["module"]) == ("causal", "memtrain.training.SMTModule")
    assert smt["fingerprint"] != dmt["fingerprint"]
    assert (smt["warmup_steps"], dmt["warmup_steps"]) == (0, 0)  # of 6 and 2 steps, in place of 50


def test_the_stages_of_a_run_are_one_line_in_tensorboard(finished: Path) -> None:
    """Six steps of SMT and two of DMT, each validated, of 4 sequences of 8 tokens."""
    folder = finished / "smt_dmt" / "8" / "0"
    assert not list(folder.glob("*/events*"))
    events = EventAccumulator(str(folder)).Reload()

    def steps(tag: str) -> list[int]:
        return [event.step for event in events.Scalars(tag)]

    assert steps("by_steps/val/rollout/accuracy") == list(range(1, 9))
    assert steps("by_tokens/val/rollout/accuracy") == list(range(32, 9 * 32, 32))
    for axis in ("by_seconds", "by_sequential_flops"):
        assert steps(f"{axis}/val/rollout/loss") == sorted(steps(f"{axis}/val/rollout/loss"))
    assert not [tag for tag in events.Tags()["scalars"] if tag.startswith("val/")]  # under the four axes alone


def test_tensorboard_tabulates_a_run_with_its_results(finished: Path) -> None:
    events = EventAccumulator(str(finished / "smt_dmt" / "8" / "0")).Reload()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    options = HParamsPluginData.FromString(content).session_start_info.hparams
    assert {name: option.string_value for name, option in options.items()} == {
        "method": "smt_dmt",
        "seed": "0",
        "length": "8",
        "learning rates": "smt 0.001, dmt 0.001",
    }
    result = read(finished, "dmt")
    (accuracy,) = events.Scalars("test/accuracy")
    assert accuracy.value == pytest.approx(result["evaluations"][0]["readings"]["rnn"]["accuracy"])
    assert events.Scalars("cost/tokens")[0].value == result["costs"]["tokens"]


def test_fit_reproduces_a_stage_from_its_configuration(finished: Path, tmp_path: Path) -> None:
    stage = finished / "smt_dmt" / "8" / "0" / "dmt"
    assert main(["fit", "--config", str(stage / "config.yaml"), f"--trainer.default_root_dir={tmp_path}"]) == 0
    first, again = (load_checkpoint(f / "checkpoints" / "last.ckpt")["state_dict"] for f in (stage, tmp_path))
    assert all(torch.equal(value, again[name]) for name, value in first.items())


def test_a_finished_run_is_skipped(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "train", None)  # any training would fail
    assert run(finished, 0) == 0


def test_another_configuration_in_the_same_place_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(finished, 0, "stages.dmt.model.init_args.readout_weight=2") == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "smt_dmt/8/0/dmt holds results of another configuration" in said


def test_an_index_beyond_the_runs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, 2) == 1
    assert "--index is 2, but tiny has runs 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["smt", "dmt"])
def test_an_interrupted_run_is_continued_and_ends_as_if_nothing_had_happened(
    stage: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut(report: ReportProgress, trainer: Trainer, *_: Any) -> None:
        if report.stage == stage and trainer.global_step == report.steps - 1:
            raise OSError("power cut")

    with monkeypatch.context() as interrupted:
        interrupted.setattr(ReportProgress, "on_train_batch_start", power_cut, raising=False)
        assert run(tmp_path, 0) == 1
    unfinished = tmp_path / "smt_dmt" / "8" / "0" / stage
    assert not (unfinished / "result.json").exists()
    assert load_checkpoint(unfinished / "checkpoints" / "last.ckpt")["global_step"] > 0
    assert run(tmp_path, 0) == 0
    for name in ("smt", "dmt"):
        first, again = (d / "smt_dmt" / "8" / "0" / name for d in (finished, tmp_path))
        whole, continued = (load_checkpoint(s / "checkpoints" / "last.ckpt")["state_dict"] for s in (first, again))
        assert all(torch.equal(value, continued[key]) for key, value in whole.items())
        assert read(finished, name)["evaluations"] == read(tmp_path, name)["evaluations"]
        tables = [list(csv.DictReader((s / "metrics.csv").open())) for s in (first, again)]
        assert [row["step"] for row in tables[0]] == [row["step"] for row in tables[1]]


def test_a_run_is_worked_on_by_one_process_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with only_worker("--output", tmp_path / "smt_dmt" / "8" / "0"):
        assert run(tmp_path, 0) == 1
    assert "is being worked on by another process" in capsys.readouterr().err


SECONDS = ("budget.steps=null", "budget.seconds=4")


@pytest.fixture
def half_a_second(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Steps take half a second each, once a copy of two steps has been timed; the stages that are, in order."""
    timed: list[str] = []

    def slow(plan: StagePlan, *arguments: Any) -> timing.Reading:
        reading = time_steps(plan, *arguments)
        assert 0 < reading.seconds < 5
        timed.append(plan.folder.as_posix())
        return timing.Reading(0.5, reading.sequential_flops)

    time_steps = timing.time_steps
    monkeypatch.setattr(timing, "time_steps", slow)
    monkeypatch.setattr(timing, "TIMED_STEPS", 2)
    monkeypatch.setattr(timing, "WARM_UP_STEPS", 1)
    return timed


@pytest.mark.slow
def test_seconds_become_steps_once_and_timing_leaves_the_run_as_it_is(
    finished: Path, tmp_path: Path, half_a_second: list[str]
) -> None:
    assert run(tmp_path, 0, *SECONDS) == 0
    assert [read(tmp_path, stage, "budget.json")["steps"] for stage in ("smt", "dmt")] == [6, 2]  # 3 s, 1 s
    assert read(tmp_path, "dmt")["evaluations"] == read(finished, "dmt")["evaluations"]
    assert not (tmp_path / "timing").exists()


@pytest.mark.slow
def test_all_stages_are_timed_in_turn_before_the_first_run_and_never_again(
    tmp_path: Path, half_a_second: list[str]
) -> None:
    changes = (*SECONDS, "seeds=[0, 1]")
    assert run(tmp_path, 2, *changes) == 0  # smt_dmt, seed 1
    assert half_a_second == 3 * ["smt_dmt/8/1/smt", "smt_dmt/8/1/dmt", "bptt/8/1/bptt"]
    assert run(tmp_path, 1, *changes) == 0  # bptt, seed 0
    assert len(half_a_second) == 9
    recorded = {entry["stage"]: entry for entry in read_json(tmp_path / "timing.json").values()}
    assert set(recorded) == {"smt", "dmt", "bptt"}
    assert [recorded[name]["untrained"] for name in ("smt", "dmt", "bptt")] == [False, True, False]
    assert recorded["bptt"]["readings"] == [0.5, 0.5, 0.5]
    assert recorded["bptt"]["hardware"] == provenance.provenance()["hardware"] | {"threads": 1}


def test_all_seeds_of_a_method_have_as_many_steps_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(1)
    time_steps = timing.time_steps

    def slower_and_slower(*arguments: Any) -> timing.Reading:
        return timing.Reading(next(clock) / 10, time_steps(*arguments).sequential_flops)

    monkeypatch.setattr(timing, "time_steps", slower_and_slower)
    monkeypatch.setattr(timing, "TIMED_STEPS", 1)
    monkeypatch.setattr(timing, "WARM_UP_STEPS", 1)
    changes = ("methods={bptt: [bptt]}", *SECONDS)
    for seed in (0, 1):  # each a command of its own
        assert run(tmp_path, 0, *changes, f"seeds=[{seed}]") == 0
    budgets = [read_json(tmp_path / f"bptt/8/{seed}/bptt/budget.json") for seed in (0, 1)]
    assert [budget["steps"] for budget in budgets] == [20, 20]  # 4 s, the median of 0.1, 0.2 and 0.3 s a step


@pytest.mark.slow
def test_trials_with_other_rates_are_timed_once_and_with_other_batches_each(
    tmp_path: Path, half_a_second: list[str]
) -> None:
    options = "{data.batch_size: [2, 4], bptt.model.learning_rate: [1e+30, 1e-3]}"
    grid = f"grid={{options: {{bptt: {options}}}, seeds: [9]}}"
    assert run(tmp_path, 3, "methods={bptt: [bptt]}", "budget={seconds: 2}", grid) == 0
    assert len(half_a_second) == 3 * 2


@pytest.mark.slow
def test_a_stage_that_cannot_be_timed_stops_its_own_method_alone(
    tmp_path: Path, half_a_second: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    changes = (*SECONDS, "stages.dmt.model.init_args.windows.label_stride=99")
    assert run(tmp_path, 1, *changes) == 0
    assert run(tmp_path, 0, *changes) == 1
    assert "label_stride is 99" in capsys.readouterr().err


@pytest.mark.slow
def test_steps_that_were_timed_on_another_machine_are_kept_and_that_is_said(
    tmp_path: Path, half_a_second: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    changes = ("methods={bptt: [bptt]}", *SECONDS)
    assert run(tmp_path, 0, *changes) == 0
    assert "Steps were timed on" not in caplog.text
    monkeypatch.setattr(provenance, "processor", lambda: "Faster One")
    assert run(tmp_path, 0, *changes, "seeds=[1]") == 0
    assert len(half_a_second) == 3
    assert "which is not this machine (Faster One, " in caplog.text
    assert read_json(tmp_path / "bptt/8/1/bptt/budget.json")["hardware"]["processor"] != "Faster One"


@pytest.mark.slow
def test_runs_that_start_together_are_timed_by_one_of_them(tmp_path: Path) -> None:
    words = ["run", str(FILE), "--output", str(tmp_path), "--set", "budget={seconds: 0.1}", "--methods", "bptt"]
    command = [sys.executable, "-m", "memtrain", *words, "--set", "seeds=[0, 1]", "--index"]
    started = [subprocess.Popen([*command, str(index)]) for index in (0, 1)]
    assert [process.wait() for process in started] == [0, 0]
    budgets = [read_json(tmp_path / f"bptt/8/{seed}/bptt/budget.json") for seed in (0, 1)]
    assert budgets[0]["seconds_per_step"] == budgets[1]["seconds_per_step"]


def test_at_equal_sequential_flops_a_baselines_schedule_ends_there(tmp_path: Path, half_a_second: list[str]) -> None:
    equal = "equal_sequential_flops={reference: smt_dmt, methods: [bptt]}"
    changes = ("budget.steps=200", equal, "stages.bptt.model.init_args.schedule=cosine")
    with pytest.MonkeyPatch.context() as untrained:
        untrained.setattr(execution, "train", lambda *_: None)
        assert run(tmp_path, 1, *changes) == 1  # nothing to read, but its budget is known
    entries = {entry["stage"]: entry["sequential_flops"] for entry in read_json(tmp_path / "timing.json").values()}
    budget = read_json(tmp_path / "bptt/8/0/bptt/budget.json")
    expected = 150 * entries["smt"] + 50 * entries["dmt"]
    assert budget["sequential_flops"] == pytest.approx(expected)
    assert abs(budget["steps"] * entries["bptt"] - expected) <= entries["bptt"] / 2
    assert budget["steps"] != 200


@pytest.mark.slow
def test_a_run_at_equal_sequential_flops_costs_what_its_reference_costs(tmp_path: Path) -> None:
    """Eight steps of smt, whose cost is the same in each."""
    changes = ("methods={smt: [smt], bptt: [bptt]}", "equal_sequential_flops={reference: smt, methods: [bptt]}")
    for index in (0, 1):
        assert run(tmp_path, index, *changes) == 0
    smt, bptt = (read_json(tmp_path / f"{name}/8/0/{name}/result.json")["costs"] for name in ("smt", "bptt"))
    step = bptt["sequential_flops"] / bptt["steps"]
    assert bptt["steps"] == max(1, round(smt["sequential_flops"] / step))


def test_callbacks_that_need_a_logger_or_checkpoints_are_left_out_while_steps_are_timed(tmp_path: Path) -> None:
    names = ("lightning.pytorch.callbacks.LearningRateMonitor", "lightning.pytorch.callbacks.ModelCheckpoint")
    callbacks = ", ".join(f"{{class_path: {name}}}" for name in names)
    changes = ("methods={bptt: [bptt]}", "budget={seconds: 0.01}", f"trainer.callbacks=[{callbacks}]")
    assert run(tmp_path, 0, *changes) == 0


def test_a_single_callback_needs_no_list(tmp_path: Path) -> None:
    assert run(tmp_path, 1, "trainer.callbacks={class_path: lightning.pytorch.callbacks.LearningRateMonitor}") == 0


def test_a_stage_may_train_on_easier_data_and_is_read_on_the_runs_own(finished: Path, tmp_path: Path) -> None:
    assert run(tmp_path, 0, "stages.smt.data={length: 6}") == 0
    smt, dmt = read(tmp_path, "smt"), read(tmp_path, "dmt")
    assert (smt["data"], dmt["data"]) == ({"length": 6}, {})
    assert smt["costs"]["tokens"] == 6 * 4 * 6  # steps, sequences, timesteps
    assert dmt["costs"]["tokens"] - smt["costs"]["tokens"] == 2 * 4 * 8
    assert [e["difficulty"] for e in smt["evaluations"]] == [8, 12]
    assert smt["fingerprint"] != read(finished, "smt")["fingerprint"]
    curves = read_curves(read_results([tmp_path]))
    assert curves["accuracy"].isna().tolist() == (curves["stage"] == "smt").tolist()
    assert curves["train_seconds"].notna().all()


def test_data_of_a_stage_with_other_tokens_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", str(FILE), "--output", str(tmp_path), "--set", "stages.smt.data={symbols: 5}"]
    assert main(words) == 1
    assert "stages.smt.data has {'symbols': 5}, with 6 tokens in, 6 classes out, but the" in capsys.readouterr().err


def test_what_a_checkpoint_has_cost_before_is_no_part_of_a_steps_time(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = load_checkpoint(finished / "smt_dmt" / "8" / "0" / "smt" / "checkpoints" / "last.ckpt")
    source["memtrain"]["counters"] |= {"train_seconds": 1e6, "cpu_seconds": 1e6}
    torch.save(source, tmp_path / "dear.ckpt")
    monkeypatch.setattr(timing, "TIMED_STEPS", 2)
    finetuned = f"stages.bptt.model.init_args={{init_from: {tmp_path / 'dear.ckpt'}}}"
    changes = ("methods={bptt: [bptt]}", "network=null", "budget={seconds: 0.1}", finetuned)
    assert run(tmp_path / "runs", 0, *changes) == 0
    budget = json.loads((tmp_path / "runs" / "bptt" / "8" / "0" / "bptt" / "budget.json").read_text())
    assert budget["seconds_per_step"] < 5


def test_a_result_names_the_commit_that_its_run_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def step_and_commit(*arguments: Any) -> torch.Tensor:
        monkeypatch.setattr(provenance, "commit", lambda: "new")
        return step(*arguments)

    step = MemoryModule.training_step
    monkeypatch.setattr(MemoryModule, "training_step", step_and_commit)
    monkeypatch.setattr(provenance, "commit", lambda: "old")
    assert run(tmp_path, 0) == 0
    assert [read(tmp_path, stage)["provenance"]["commit"] for stage in ("smt", "dmt")] == ["old", "old"]
    assert provenance.provenance()["commit"] == "new"


def test_a_continued_stage_names_where_it_was_begun_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> torch.Tensor:
        raise ValueError("The machine is lost.")

    with monkeypatch.context() as lost:
        lost.setattr(provenance, "commit", lambda: "old")
        lost.setattr(MemoryModule, "training_step", stop)
        assert run(tmp_path, 0) == 1
    monkeypatch.setattr(provenance, "commit", lambda: "new")
    assert run(tmp_path, 0) == 0
    smt, dmt = (read(tmp_path, stage) for stage in ("smt", "dmt"))
    assert [origin["commit"] for origin in (*smt["continued_from"], smt["provenance"])] == ["old", "new"]
    assert [origin["commit"] for origin in (*dmt["continued_from"], dmt["provenance"])] == ["new"]


@pytest.mark.slow
def test_other_work_on_the_machine_takes_no_steps_from_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(module: Any, batch: Any, batch_idx: int) -> torch.Tensor:
        time.sleep(0.5)  # as if another process had the core
        return step(module, batch, batch_idx)

    step = MemoryModule.training_step
    monkeypatch.setattr(MemoryModule, "training_step", forward)
    monkeypatch.setattr(timing, "WARM_UP_STEPS", 1)
    monkeypatch.setattr(timing, "TIMED_STEPS", 2)
    assert run(tmp_path, 0, "methods={smt: [smt]}", "budget={seconds: 0.001}") == 0
    assert json.loads((tmp_path / "smt/8/0/smt/budget.json").read_text())["seconds_per_step"] < 0.4


def test_tuning_reads_the_validation_split_and_the_runs_take_the_best_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "leaves_chance", lambda trials: True)  # too much to ask of 16 sequences
    grid = "grid={options: {bptt: {bptt.model.learning_rate: [1e-9, 3e-2]}}, unequal: true, seeds: [9]}"
    words = ("methods={bptt: [bptt]}", "budget.steps=30", grid)
    for index in range(3):
        assert run(tmp_path, index, *words) == 0
    trials = {
        rate: read_json(tmp_path / f"tuning/bptt/8/9/bptt.model.learning_rate={rate}/bptt/result.json")["evaluations"]
        for rate in ("1e-09", "0.03")
    }
    assert all([e["split"] for e in trial] == ["val"] for trial in trials.values())
    best = min(trials, key=lambda rate: trials[rate][0]["readings"]["rnn"]["loss"])
    result = read_json(tmp_path / "bptt/8/0/bptt/result.json")
    assert (result["learning_rate"], result["trials"]) == (float(best), 2)
    assert result["options"] == {"bptt.model.learning_rate": float(best)}


def test_a_run_that_waits_for_tuning_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = "grid={options: {bptt: {bptt.model.learning_rate: [1e-3, 3e-3]}}, unequal: true, seeds: [9]}"
    assert run(tmp_path, 2, "methods={bptt: [bptt]}", grid) == 1
    assert "The tuning run bptt 8 seed 9 bptt.model.learning_rate=0.001 has no result" in capsys.readouterr().err


def squares(count: int, scale: float = 1.0) -> tuple[list[dict[str, Any]], Figure]:
    """A measurement."""
    return [{"n": n, "square": scale * n * n} for n in range(count)], Figure()


def test_a_measurement_writes_rows_and_a_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "measure.yaml"
    file.write_text(
        "name: squares\nclaim: Squares grow.\n"
        f"measurement: {{class_path: {__name__}.squares, init_args: {{count: 3}}}}\n"
    )
    words = ["run", str(file), "--output", str(tmp_path / "out")]
    assert main([*words, "--set", "measurement.init_args.scale=2"]) == 0
    assert (tmp_path / "out" / "results.csv").read_text() == "n,square\n0,0.0\n1,2.0\n2,8.0\n"
    assert (tmp_path / "out" / "figure.png").stat().st_size > 0
    for change, sentence in (("count=x", "count"), ("size=1", "size"), ("count=0", "There are no rows for ")):
        assert main([*words, "--set", f"measurement.init_args.{change}"]) == 1
        assert sentence in capsys.readouterr().err


@pytest.mark.slow
def test_a_whole_experiment_ends_in_a_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", str(FILE), "--output", str(tmp_path), "--jobs", "2"]
    options = "options: {bptt: {bptt.model.learning_rate: [1e-3, 3e-3]}}"
    grid = f"grid={{{options}, unequal: true, seeds: [9], at_chance: file}}"  # two steps leave no chance behind
    assert main([*words, "--set", grid]) == 0
    shown = capsys.readouterr().out
    assert "smt_dmt" in shown
    assert "undecided" in shown
    rows = list(csv.DictReader((tmp_path / "comparison.csv").open()))
    assert len(rows) == 4 * 2  # smt_dmt with its teacher and its first stage, and bptt, at two lengths
    trials = list(csv.DictReader((tmp_path / "tuning.csv").open()))
    assert [trial["method"] for trial in trials] == ["bptt", "bptt"]


@pytest.mark.slow
def test_a_failed_run_is_named_and_the_others_are_still_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", str(FILE), "--output", str(tmp_path), "--jobs", "2"]
    assert main([*words, "--set", "stages.dmt.model.init_args.windows.label_stride=99"]) == 1
    shown = capsys.readouterr().out
    assert "The run smt_dmt 8 seed 0 failed with status 1" in shown
    assert "bptt" in (tmp_path / "comparison.csv").read_text()


def test_where_all_runs_fail_nothing_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", str(FILE), "--output", str(tmp_path), "--methods", "bptt"]
    assert main([*words, "--set", "stages.bptt.model.init_args.windows.label_stride=99"]) == 1
    shown = capsys.readouterr()
    assert "The run bptt 8 seed 0 failed with status 1" in shown.out
    assert not shown.err


def test_what_an_experiment_claims_is_shown_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    runner.announce(read_experiment(FILE, ["claim='Falls [nats/token] [/x].'"]), None)
    assert "Falls [nats/token] [/x]." in capsys.readouterr().out


def test_a_result_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("")
    with pytest.raises(ValueError, match=r"result\.json is no JSON .*; remove it"):
        read_json(path)


def test_a_package_installed_in_a_foreign_checkout_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / ".venv" / "memtrain"
    package.mkdir(parents=True)
    (tmp_path / ".gitignore").write_text(".venv\n")
    name = ["-c", "user.name=u", "-c", "user.email=u@example.org"]
    for words in (["init", "-q"], ["add", ".gitignore"], [*name, "commit", "-qm", "mine"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(provenance, "__file__", str(package / "provenance.py"))
    assert provenance.commit() is None
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / ".gitignore"))
    assert len(provenance.commit() or "") == 40


def test_a_tuning_run_that_diverges_is_recorded_and_the_grid_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "leaves_chance", lambda trials: True)
    grid = "grid={options: {bptt: {bptt.model.learning_rate: [1e+30, 3e-3]}}, unequal: true, seeds: [9]}"
    runs = list_runs(read_experiment(FILE, [grid]))
    trials = [index for index, trial in enumerate(runs) if trial.options]
    for index in trials:
        assert run(tmp_path, index, grid) == 0
    too_high, good = (
        json.loads((tmp_path / runs[index].folder / "bptt" / "result.json").read_text()) for index in trials
    )
    assert "training stopped" in too_high["diverged"]
    assert set(too_high) == {"diverged", "fingerprint"}
    assert good["evaluations"][0]["readings"]["rnn"]["loss"] > 0
    chosen = next(index for index, compared in enumerate(runs) if compared.method == "bptt" and not compared.options)
    assert run(tmp_path, chosen, grid) == 0
    result = json.loads((tmp_path / runs[chosen].folder / "bptt" / "result.json").read_text())
    assert result["learning_rate"] == 3e-3
