"""Choosing options from fabricated tuning runs."""

import csv
import math
from pathlib import Path

import pytest
import torch

from memtrain.costs import Counters
from memtrain.experiment.evaluation import standard_errors
from memtrain.experiment.plan import plan_runs
from memtrain.experiment.reading import read_experiment
from memtrain.experiment.runs import Run, list_runs
from memtrain.experiment.specification import Experiment
from memtrain.experiment.tuning import Trial, leaves_chance, tuned, write_tuning
from memtrain.files import write_json
from memtrain.results import DivergedStage, Evaluation, Score, StageResult, write_result

FILE = Path(__file__).parents[1] / "conf" / "experiment.yaml"
NAN = float("nan")


def leave(
    directory: Path,
    experiment: Experiment,
    losses: list[float | None],
    reading: str = "rnn",
    accuracies: list[float] | None = None,
) -> None:
    """Finished tuning runs of the experiment with these validation losses, in their order; None: it has diverged.

    Chance is 0.25, the standard error of accuracies 0.01.
    """
    runs = [run for run in list_runs(experiment) if run.options]
    for run, loss, accuracy in zip(runs, losses, accuracies or [0.9] * len(runs), strict=True):
        stages = experiment.methods[run.method]
        readings = {"other": {"loss": 0.0, "accuracy": 1.0}, reading: {"loss": loss, "accuracy": accuracy}}
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
            evaluations=[Evaluation("val", readings, {}, {"chance": 0.25}, None, {"accuracy": 0.01})],
            fingerprint="f",
            recipe="r",
            conditions="c",
            provenance={},
        )
        path = directory / run.folder / stages[-1] / "result.json"
        write_result(path, DivergedStage("It has diverged.", "f") if loss is None else result)


def chosen(experiment: Experiment, directory: Path) -> dict[str, float]:
    """The learning rates in the plans of the runs of the comparison, by stage."""
    compared = [plan for plan in plan_runs(experiment) if not plan.run.options]
    stages = [stage for plan in tuned(experiment, compared, directory) for stage in plan.stages]
    return {stage.name: stage.configuration["model"]["init_args"]["learning_rate"] for stage in stages}


def table(directory: Path) -> list[dict[str, str]]:
    with (directory / "tuning.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_diverged_trial_is_written_down_and_never_chosen(tmp_path: Path) -> None:
    grid = "grid={options: {bptt: {bptt.model.learning_rate: [1e-3, 3e-3, 1e-2, 3e-2]}}, seeds: [9]}"
    experiment = read_experiment(FILE, [grid], methods=["bptt"])
    leave(tmp_path, experiment, [NAN, 0.5, 0.7, None])
    assert chosen(experiment, tmp_path) == {"bptt": 3e-3}
    write_tuning(experiment, tmp_path)
    rows = table(tmp_path)
    assert [row["validation_loss"] for row in rows] == ["", "0.5", "0.7", ""]
    assert [row["validation_accuracy"] for row in rows] == ["0.9", "0.9", "0.9", ""]
    assert [row["chosen"] for row in rows] == ["False", "True", "False", "False"]


def test_a_method_is_tuned_by_the_reading_that_is_compared(tmp_path: Path) -> None:
    grid = "grid={options: {bptt: {bptt.model.learning_rate: [1e-3, 3e-3]}}, seeds: [9]}"
    experiment = read_experiment(FILE, [grid], methods=["bptt"])
    leave(tmp_path, experiment, [0.7, 0.5], reading="model")
    assert chosen(experiment, tmp_path) == {"bptt": 3e-3}


def test_the_plans_of_methods_that_are_not_tuned_are_handed_on_as_they_are(tmp_path: Path) -> None:
    grid = "grid={options: {bptt: {bptt.model.learning_rate: [1e-3, 3e-3]}}, seeds: [9], unequal: true}"
    experiment = read_experiment(FILE, [grid])
    leave(tmp_path, experiment, [0.7, 0.5])
    plans = [plan for plan in plan_runs(experiment) if not plan.run.options]
    again = tuned(experiment, plans, tmp_path)
    assert [first is second for first, second in zip(plans, again, strict=True)] == [True, False]  # smt_dmt, bptt
    assert [plan.index for plan in plans] == [plan.index for plan in again] == [2, 3]


def test_another_method_tuned_in_the_same_folder_keeps_its_rows(tmp_path: Path) -> None:
    tries = {"bptt": "bptt.model.learning_rate: [1e-3, 3e-3]", "smt_dmt": "data.batch_size: [2, 4]"}
    for method, tried in tries.items():
        grid = f"grid={{options: {{{method}: {{{tried}}}}}, seeds: [9]}}"
        experiment = read_experiment(FILE, [grid], methods=[method])
        leave(tmp_path, experiment, [0.7, 0.5])
        for _ in range(2):
            write_tuning(experiment, tmp_path)
    assert [(row["method"], row["options"], row["chosen"]) for row in table(tmp_path)] == [
        ("bptt", "bptt.model.learning_rate=0.001", "False"),
        ("bptt", "bptt.model.learning_rate=0.003", "True"),
        ("smt_dmt", "data.batch_size=2", "False"),
        ("smt_dmt", "data.batch_size=4", "True"),
    ]


def test_where_each_trial_has_diverged_none_is_chosen(tmp_path: Path) -> None:
    experiment = read_experiment(
        FILE, ["grid={options: {bptt: {bptt.model.learning_rate: [1, 0.3]}}, seeds: [9]}"], methods=["bptt"]
    )
    leave(tmp_path, experiment, [None, None])
    write_tuning(experiment, tmp_path)
    assert [row["chosen"] for row in table(tmp_path)] == ["False", "False"]
    with pytest.raises(ValueError, match=r"All tuning runs of bptt have diverged, .* add a smaller learning rate"):
        chosen(experiment, tmp_path)


def test_a_trial_of_another_version_is_told(tmp_path: Path) -> None:
    experiment = read_experiment(
        FILE, ["grid={options: {bptt: {bptt.model.learning_rate: [1e-3]}}, seeds: [9]}"], methods=["bptt"]
    )
    write_json(tmp_path / list_runs(experiment)[0].folder / "bptt" / "result.json", {"evaluations": []})
    with pytest.raises(ValueError, match=r"result\.json is no result of this version of memtrain"):
        chosen(experiment, tmp_path)


GRID = "grid={options: {bptt: {data.batch_size: [2, 4]}}, seeds: [9]"


@pytest.mark.parametrize("accuracies", [[0.25, 0.25], [0.23, 0.279]])
def test_where_no_trial_leaves_chance_none_is_chosen(accuracies: list[float], tmp_path: Path) -> None:
    experiment = read_experiment(FILE, [f"{GRID}}}"], methods=["bptt"])
    leave(tmp_path, experiment, [1.38634, 1.38636], accuracies=accuracies)
    (reason,) = write_tuning(experiment, tmp_path)
    assert reason.startswith("No trial of bptt at 8 leaves chance by 3 standard errors")
    assert [(row["chosen"], row["chance"], row["standard_error"]) for row in table(tmp_path)] == [
        ("False", "0.25", "0.01"),
        ("False", "0.25", "0.01"),
    ]
    with pytest.raises(ValueError, match="so that nothing is chosen; give it a larger budget or other values, or say"):
        chosen(experiment, tmp_path)


def test_a_trial_at_chance_is_not_chosen_for_its_loss(tmp_path: Path) -> None:
    experiment = read_experiment(FILE, [f"{GRID}}}"], methods=["bptt"])
    leave(tmp_path, experiment, [1.38, 1.45], accuracies=[0.25, 0.281])
    compared = [plan for plan in plan_runs(experiment) if not plan.run.options]
    (plan,) = tuned(experiment, compared, tmp_path)
    assert (plan.options, plan.trials) == ({"data.batch_size": 4}, 2)
    assert plan.stages[0].configuration["data"]["init_args"]["batch_size"] == 4


def test_a_file_may_say_beforehand_that_runs_at_chance_take_its_own_options(tmp_path: Path) -> None:
    experiment = read_experiment(FILE, [f"{GRID}, at_chance: file}}"], methods=["bptt"])
    leave(tmp_path, experiment, [1.38634, 1.38636], accuracies=[0.25, 0.25])
    compared = [plan for plan in plan_runs(experiment) if not plan.run.options]
    (plan,) = tuned(experiment, compared, tmp_path)
    assert (plan.stages, plan.options, plan.trials) == (compared[0].stages, {}, 2)
    leave(tmp_path, experiment, [None, None])
    with pytest.raises(ValueError, match="have diverged"):
        tuned(experiment, compared, tmp_path)


def test_a_loss_must_be_below_the_entropy_of_single_targets() -> None:
    run, score = Run("bptt", 8, 9), Score("loss", False)

    def trial(loss: float) -> Trial:
        return Trial(run, {"loss": loss}, score=score, chance=3.0, standard_error=0.02)

    assert [leaves_chance([trial(loss)]) for loss in (3.1, 2.95, 2.93)] == [False, False, True]
    assert leaves_chance([trial(2.95)] * 4)  # of four seeds the error is half as large


def test_standard_errors_take_sequences_for_units() -> None:
    """Two sequences of 3 targets and one of 1: mean 4/7, residuals 3 * 3/7, -3 * 4/7, 1 * 3/7."""
    batches = [
        {"accuracy": torch.tensor([1.0, 0.0]), "targets": torch.tensor([3, 3]), "index": torch.tensor([0, 1])},
        {"accuracy": torch.tensor([1.0, 9.0]), "targets": torch.tensor([1, 0]), "index": torch.tensor([2, 3])},
    ]
    expected = math.sqrt((81 + 144 + 9) / 49 * 3 / 2) / 7
    assert standard_errors(batches) == {"accuracy": pytest.approx(expected)}


def test_a_hundred_equal_targets_of_a_sequence_say_no_more_than_one() -> None:
    def error(targets: int) -> float | None:
        index = torch.arange(64)
        means = {"accuracy": (index % 4 == 0).double(), "targets": torch.full((64,), targets), "index": index}
        return standard_errors([means])["accuracy"]

    assert error(100) == pytest.approx(error(1)) == pytest.approx(math.sqrt(0.25 * 0.75 / 63))
