"""Choosing learning rates from fabricated tuning runs."""

import csv
import math
from pathlib import Path

import pytest

from memtrain.experiment.plan import Run, list_runs
from memtrain.experiment.reading import read_experiment
from memtrain.experiment.tuning import rates_of, write_tuning
from memtrain.files import read_json, write_json

FILE = Path(__file__).parents[1] / "conf" / "experiment.yaml"


def test_a_diverged_trial_is_written_down_and_never_chosen(tmp_path: Path) -> None:
    grid = "grid={learning_rates: {bptt: [1e-3, 3e-3, 1e-2]}, seeds: [9]}"
    experiment = read_experiment(FILE, [grid], methods=["bptt"])
    trials = [run for run in list_runs(experiment) if run.rates]
    for trial, loss in zip(trials, (math.nan, 0.5, 0.7), strict=True):
        metrics = {"rollout/loss": loss, "rollout/accuracy": 0.9}
        write_json(tmp_path / trial.folder / "bptt" / "result.json", {"evaluations": [{"metrics": metrics}]})
    assert read_json(tmp_path / trials[0].folder / "bptt" / "result.json")["evaluations"][0]["metrics"] == {
        "rollout/loss": None,
        "rollout/accuracy": 0.9,
    }
    assert rates_of(experiment, Run("bptt", 8, 0), tmp_path) == {"bptt": 3e-3}
    write_tuning(experiment, tmp_path)
    rows = list(csv.DictReader((tmp_path / "tuning.csv").open()))
    assert [row["validation_loss"] for row in rows] == ["", "0.5", "0.7"]
    assert [row["chosen"] for row in rows] == ["False", "True", "False"]


def test_a_method_without_an_rnn_is_tuned_by_its_teacher(tmp_path: Path) -> None:
    grid = "grid={learning_rates: {teach: [1e-3, 3e-3]}, seeds: [9]}"
    stage = "stages.teacher={model: {class_path: memtrain.training.TeacherModule}}"
    experiment = read_experiment(FILE, [stage, "methods={teach: [teacher]}", grid])
    for trial, loss in zip([run for run in list_runs(experiment) if run.rates], (0.7, 0.5), strict=True):
        metrics = {"teacher/loss": loss, "teacher/accuracy": 0.9}
        write_json(tmp_path / trial.folder / "teacher" / "result.json", {"evaluations": [{"metrics": metrics}]})
    assert rates_of(experiment, Run("teach", 8, 0), tmp_path) == {"teacher": 3e-3}


def test_where_each_trial_has_diverged_none_is_chosen(tmp_path: Path) -> None:
    experiment = read_experiment(FILE, ["grid={learning_rates: {bptt: [1, 0.3]}, seeds: [9]}"], methods=["bptt"])
    for trial in list_runs(experiment):
        if trial.rates:
            metrics = {"rollout/loss": None, "rollout/accuracy": None}
            write_json(tmp_path / trial.folder / "bptt" / "result.json", {"evaluations": [{"metrics": metrics}]})
    write_tuning(experiment, tmp_path)
    assert [row["chosen"] for row in csv.DictReader((tmp_path / "tuning.csv").open())] == ["False", "False"]
    with pytest.raises(ValueError, match=r"All tuning runs of bptt have diverged, .* add a smaller one"):
        rates_of(experiment, Run("bptt", 8, 0), tmp_path)
