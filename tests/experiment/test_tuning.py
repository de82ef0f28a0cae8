"""Choosing learning rates from fabricated tuning runs."""

import csv
from pathlib import Path

import pytest

from memtrain.costs import Counters
from memtrain.experiment.plan import plan_runs
from memtrain.experiment.reading import read_experiment
from memtrain.experiment.runs import list_runs
from memtrain.experiment.specification import Experiment
from memtrain.experiment.tuning import tuned, write_tuning
from memtrain.files import write_json
from memtrain.results import DivergedStage, Evaluation, Score, StageResult, write_result

FILE = Path(__file__).parents[1] / "conf" / "experiment.yaml"
NAN = float("nan")


def leave(directory: Path, experiment: Experiment, losses: list[float | None], reading: str = "rnn") -> None:
    """Finished tuning runs of the experiment with these validation losses, in their order; None: it has diverged."""
    for run, loss in zip([run for run in list_runs(experiment) if run.rates], losses, strict=True):
        stages = experiment.methods[run.method]
        readings = {"other": {"loss": 0.0, "accuracy": 1.0}, reading: {"loss": loss, "accuracy": 0.9}}
        result = StageResult(
            experiment=experiment.name,
            method=run.method,
            stages=stages,
            stage=stages[-1],
            seed=run.seed,
            module="",
            score=Score("accuracy", True),
            reading=reading,
            trained=[reading],
            parameters={},
            learning_rate=1.0,
            data={},
            costs=Counters(0, 0, 0.0, 0.0, 0, 0),
            evaluations=[Evaluation("val", readings, {}, {})],
            fingerprint="f",
            recipe="r",
            conditions="c",
            provenance={},
        )
        path = directory / run.folder / stages[-1] / "result.json"
        write_result(path, DivergedStage("It has diverged.", "f") if loss is None else result)


def chosen(experiment: Experiment, directory: Path) -> dict[str, float]:
    """The learning rates in the plans of the runs of the comparison, by stage."""
    compared = [plan for plan in plan_runs(experiment) if not plan.run.rates]
    stages = [stage for plan in tuned(experiment, compared, directory) for stage in plan.stages]
    return {stage.name: stage.configuration["model"]["init_args"]["learning_rate"] for stage in stages}


def table(directory: Path) -> list[dict[str, str]]:
    with (directory / "tuning.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_diverged_trial_is_written_down_and_never_chosen(tmp_path: Path) -> None:
    grid = "grid={learning_rates: {bptt: [1e-3, 3e-3, 1e-2, 3e-2]}, seeds: [9]}"
    experiment = read_experiment(FILE, [grid], methods=["bptt"])
    leave(tmp_path, experiment, [NAN, 0.5, 0.7, None])
    assert chosen(experiment, tmp_path) == {"bptt": 3e-3}
    write_tuning(experiment, tmp_path)
    rows = table(tmp_path)
    assert [row["validation_loss"] for row in rows] == ["", "0.5", "0.7", ""]
    assert [row["validation_accuracy"] for row in rows] == ["0.9", "0.9", "0.9", ""]
    assert [row["chosen"] for row in rows] == ["False", "True", "False", "False"]


def test_a_method_is_tuned_by_the_reading_that_is_compared(tmp_path: Path) -> None:
    grid = "grid={learning_rates: {bptt: [1e-3, 3e-3]}, seeds: [9]}"
    experiment = read_experiment(FILE, [grid], methods=["bptt"])
    leave(tmp_path, experiment, [0.7, 0.5], reading="model")
    assert chosen(experiment, tmp_path) == {"bptt": 3e-3}


def test_the_plans_of_methods_that_are_not_tuned_are_handed_on_as_they_are(tmp_path: Path) -> None:
    grid = "grid={learning_rates: {bptt: [1e-3, 3e-3]}, seeds: [9]}"
    experiment = read_experiment(FILE, [grid])
    leave(tmp_path, experiment, [0.7, 0.5])
    plans = [plan for plan in plan_runs(experiment) if not plan.run.rates]
    again = tuned(experiment, plans, tmp_path)
    assert [first is second for first, second in zip(plans, again, strict=True)] == [True, False]  # smt_dmt, bptt
    assert [plan.index for plan in plans] == [plan.index for plan in again] == [2, 3]


def test_another_method_tuned_in_the_same_folder_keeps_its_rows(tmp_path: Path) -> None:
    rates = {"bptt": "[1e-3, 3e-3]", "smt_dmt": "{dmt: [1e-3, 1e-4]}"}
    for method, tried in rates.items():
        grid = f"grid={{learning_rates: {{{method}: {tried}}}, seeds: [9]}}"
        experiment = read_experiment(FILE, [grid], methods=[method])
        leave(tmp_path, experiment, [0.7, 0.5])
        for _ in range(2):
            write_tuning(experiment, tmp_path)
    assert [(row["method"], row["learning_rates"], row["chosen"]) for row in table(tmp_path)] == [
        ("bptt", "bptt=0.001", "False"),
        ("bptt", "bptt=0.003", "True"),
        ("smt_dmt", "dmt=0.001", "False"),
        ("smt_dmt", "dmt=0.0001", "True"),
    ]


def test_where_each_trial_has_diverged_none_is_chosen(tmp_path: Path) -> None:
    experiment = read_experiment(FILE, ["grid={learning_rates: {bptt: [1, 0.3]}, seeds: [9]}"], methods=["bptt"])
    leave(tmp_path, experiment, [None, None])
    write_tuning(experiment, tmp_path)
    assert [row["chosen"] for row in table(tmp_path)] == ["False", "False"]
    with pytest.raises(ValueError, match=r"All tuning runs of bptt have diverged, .* add a smaller one"):
        chosen(experiment, tmp_path)


def test_a_trial_of_another_version_is_told(tmp_path: Path) -> None:
    experiment = read_experiment(FILE, ["grid={learning_rates: {bptt: [1e-3]}, seeds: [9]}"], methods=["bptt"])
    write_json(tmp_path / list_runs(experiment)[0].folder / "bptt" / "result.json", {"evaluations": []})
    with pytest.raises(ValueError, match=r"result\.json is no result of this version of memtrain"):
        chosen(experiment, tmp_path)
