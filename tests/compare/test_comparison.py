"""Comparisons of fabricated results: rows, summary, verdict, figure and what is printed."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from fabricated import ACCURACIES, DRIFT, both, fabricate, leave, reading, rnn, table_of, without_difficulty
from PIL import Image

from memtrain.cli import main
from memtrain.compare import COLUMNS, read_results, summarize, verdict
from memtrain.compare.cautions import idle_helpers, unlike_drifts, unlike_sizes
from memtrain.compare.comparison import next_commands
from memtrain.compare.origins import differences, origins, unequal_conditions
from memtrain.compare.queries import ranked, with_kinds
from memtrain.compare.results import read_unfinished
from memtrain.compare.tables import seeds_table, table
from memtrain.files import write_json
from memtrain.results import Metrics, Score, StageResult

NONE = pd.DataFrame(columns=["experiment", "method", "difficulty", "seed"])


def test_teacher_and_smt_are_read_at_the_end_of_their_stage_at_its_cost(tmp_path: Path) -> None:
    rows = table_of(fabricate(tmp_path, seeds=1))
    own = rows[rows["evaluation_difficulty"] == 128].set_index(["method", "reading", "stage"])
    bptt, smt, teacher, dmt = own.index
    assert bptt == ("bptt", "rnn", "bptt")
    assert (smt, dmt) == (("smt_dmt", "rnn", "smt"), ("smt_dmt", "rnn", "dmt"))
    assert teacher == ("smt_dmt", "teacher", "smt")
    assert own["accuracy"].to_dict() == {bptt: 0.13, smt: 0.2, teacher: 1.0, dmt: 0.97}
    assert own["train_seconds"].to_dict() == {bptt: 10, smt: 10, teacher: 10, dmt: 20}
    assert own["parameters"].to_dict() == {bptt: 100, smt: 100, teacher: 200, dmt: 100}
    assert own["gradient_steps"].to_dict() == {bptt: 128, smt: 1, teacher: 0, dmt: 128}
    assert own["drift_mean"].isna().to_dict() == {bptt: True, smt: False, teacher: True, dmt: False}
    assert own["compared"].to_dict() == {bptt: True, smt: True, teacher: False, dmt: True}
    assert own["final"].to_dict() == {bptt: True, smt: False, teacher: False, dmt: True}


def test_the_teacher_is_read_where_the_last_stage_that_trains_it_ends(tmp_path: Path) -> None:
    stages = ["short", "smt", "dmt"]
    for position, (accuracy, trained) in enumerate(
        ((0.5, ["teacher", "rnn"]), (1.0, ["teacher", "rnn"]), (1.0, ["rnn"]))
    ):
        leave(tmp_path, "smt_dmt", stages, position, 0, both(accuracy, 0.1 * position), trained=trained)
    rows = table_of(tmp_path)
    own = rows[rows["evaluation_difficulty"] == 128].set_index(["reading", "stage"])
    assert list(own.index) == [("rnn", "short"), ("rnn", "smt"), ("teacher", "smt"), ("rnn", "dmt")]
    assert own.loc[("teacher", "smt"), ["accuracy", "train_seconds"]].tolist() == [1.0, 20]


def test_the_summary_has_mean_and_range_over_seeds_at_the_training_difficulty(tmp_path: Path) -> None:
    entries = summarize(table_of(fabricate(tmp_path)))
    assert len(entries) == len(ACCURACIES)
    summary = {(entry["method"], entry["reading"], entry["stage"]): entry for entry in entries}
    assert summary["smt_dmt", "teacher", "smt"]["mean"] == pytest.approx(0.99)
    assert summary["smt_dmt", "rnn", "dmt"] == {
        "experiment": "fabricated",
        "method": "smt_dmt",
        "reading": "rnn",
        "stage": "dmt",
        "difficulty": 128,
        "score": "accuracy",
        "mean": pytest.approx(0.97),
        "minimum": 0.96,
        "maximum": 0.98,
        "interquartile_mean": pytest.approx(0.97),
        "interval": (0.96, 0.98),
        "values": [0.97, 0.96, 0.98],
        "seeds": 3,
        "diverged": 0,
    }


@pytest.mark.parametrize(("score", "first"), [(Score("loss", False), "second"), (Score("bits", True), "first")])
def test_the_score_says_what_counts_and_whether_more_is_better(score: Score, first: str, tmp_path: Path) -> None:
    for method, loss in (("first", 2.0), ("second", 1.0)):
        for seed in range(5):
            readings = {"rnn": {"accuracy": 0.5, "loss": loss + seed / 100, "bits": loss + seed / 100}}
            changes = without_difficulty(readings, {"unigram_entropy": 3.0, "bigram_entropy": 2.5})
            leave(tmp_path, method, ["bptt"], 0, seed, readings, score=score, **changes)
    rows = table_of(tmp_path)
    assert ranked(rows)[0] == first
    ahead = "first (IQM 2.02" if first == "first" else "second (IQM 1.020 nats"
    assert verdict(rows, NONE, {}).startswith(ahead)
    assert {entry["score"] for entry in summarize(rows)} == {score.name}


def test_a_score_that_tokens_do_not_have_gets_a_column_and_a_curve(tmp_path: Path) -> None:
    for method, error in (("near", 0.25), ("far", 4.0)):
        readings: dict[str, Metrics] = {"model": {"loss": error, "error": error}}
        changes = without_difficulty(readings, {})
        leave(tmp_path, method, ["fit"], 0, 0, readings, score=Score("error", False), **changes)
        points = f"step,cost/tokens,val/model/error,val/rollout/accuracy\n9,640,{error},0.5\n"
        (tmp_path / method / "128" / "0" / "fit" / "metrics.csv").write_text(points)
    assert main(["compare", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "comparison.csv").set_index("method")
    assert table["reading"].tolist() == ["model", "model"]
    assert table["final"].all()
    assert table["error"].to_dict() == {"near": 0.25, "far": 4.0}
    curves = pd.read_csv(tmp_path / "curves.csv").set_index("method")
    assert curves["error"].to_dict() == {"near": 0.25, "far": 4.0}
    assert curves["accuracy"].isna().all()  # of another reading
    assert pd.read_csv(tmp_path / "equal_tokens.csv")["error"].tolist() == [4.0, 0.25]


def test_methods_that_share_stages_keep_their_rows_apart(tmp_path: Path) -> None:
    smt = both(1.0, 0.2)
    for method, stages in (("slow", ["smt", "dmt"]), ("fast", ["smt", "other"])):
        leave(tmp_path, method, stages, 0, 0, smt)
        leave(tmp_path, method, stages, 1, 0, smt)
    rows = with_kinds(table_of(tmp_path))
    kinds = {(method, kind) for method in ("slow", "fast") for kind in ("", "teacher", "after smt")}
    assert set(zip(rows["method"], rows["kind"], strict=True)) == kinds


def test_a_stage_that_trains_a_teacher_alone_has_no_row_where_a_later_one_trains_it_too(tmp_path: Path) -> None:
    stages = ["teacher", "smt", "dmt"]
    leave(tmp_path, "smt_dmt", stages, 0, 0, {"teacher": reading(0.8)})
    leave(tmp_path, "smt_dmt", stages, 1, 0, both(0.9, 0.5), trained=["teacher", "rnn"])
    leave(tmp_path, "smt_dmt", stages, 2, 0, both(0.9, 0.5))
    rows = with_kinds(table_of(tmp_path))
    found = set(rows[["stage", "kind"]].itertuples(index=False, name=None))
    assert found == {("smt", "teacher"), ("smt", "after smt"), ("dmt", "")}


def test_a_method_that_ends_with_a_teacher_is_compared_by_it(tmp_path: Path) -> None:
    leave(tmp_path, "teacher_only", ["teacher"], 0, 0, {"teacher": reading(0.8)})
    rows = table_of(tmp_path)
    assert rows[["reading", "compared", "final"]].to_numpy().tolist() == 2 * [["teacher", True, True]]


def test_compare_writes_table_summary_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(fabricate(tmp_path))]) == 0
    table = pd.read_csv(tmp_path / "comparison.csv")
    assert list(table.columns) == COLUMNS
    assert len(table) == 4 * 3 * 2
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert set(content) == {"experiment", "rows", "summary", "verdict", "provenance"}
    assert content["experiment"] == "fabricated"
    assert len(content["rows"]) == len(table)
    assert content["rows"][0]["unigram_entropy"] is None
    assert content["provenance"]["seeds"] == [0, 1, 2]
    assert {"command", "commit", "versions", "hardware"} < set(content["provenance"])
    width, height = Image.open(tmp_path / "comparison.png").size
    assert min(width, height) > 500
    shown = capsys.readouterr().out
    assert "97.0 %" in shown
    assert "97.0, 96.0, 98.0" in shown  # every seed
    assert "undecided: 3 seeds, at least 5 are needed" in shown
    assert "stayed at chance" not in shown


def test_a_teacher_at_chance_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = both(0.13, 0.12)
    leave(tmp_path, "smt_dmt", ["smt", "dmt"], 0, 0, metrics)
    assert main(["compare", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "length 128: the teacher of seed 0 stayed at chance (13.0 %, chance 12.5 %)" in shown


def test_unfinished_folders_are_compared_as_far_as_they_are(tmp_path: Path) -> None:
    leave(tmp_path, "smt_dmt", ["smt", "dmt"], 0, 0, both(0.9, 0.5))
    leave(tmp_path, "bptt", ["bptt"], 0, 0, rnn(0.4))
    assert main(["compare", str(tmp_path)]) == 0
    table = with_kinds(pd.read_csv(tmp_path / "comparison.csv"))
    found = set(zip(table["method"], table["kind"], strict=True))
    assert found == {("smt_dmt", "teacher"), ("smt_dmt", "after smt"), ("bptt", "")}


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_a_folder_without_results_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path / name)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_seed_that_ends_while_results_are_read_is_unfinished(tmp_path: Path) -> None:
    fabricate(tmp_path)
    results = read_results([tmp_path])
    write_json(tmp_path / "bptt" / "128" / "3" / "bptt" / "origins.json", [])
    leave(tmp_path, "bptt", ["bptt"], 0, 3, rnn(0.1))
    assert read_unfinished([tmp_path], results)["seed"].tolist() == [3]


def test_methods_without_a_teacher_that_share_a_stage_keep_its_rows_apart(tmp_path: Path) -> None:
    for method, stages in (("slow", ["easy", "hard"]), ("fast", ["easy", "hard_fast"])):
        for position in (0, 1):
            leave(tmp_path, method, stages, position, 0, rnn(0.5))
    rows = table_of(tmp_path)
    found = set(zip(rows["method"], rows["stage"], strict=True))
    assert found == {("slow", "easy"), ("slow", "hard"), ("fast", "easy"), ("fast", "hard_fast")}


def results_of(folder: Path) -> list[StageResult]:
    return [stage.result for stage in read_results([folder])]


def test_unequal_budgets_and_options_are_told(tmp_path: Path) -> None:
    for seed in range(2):
        leave(tmp_path, "bptt", ["bptt"], 0, seed, rnn(0.2), conditions="a", recipe="r")
    assert not list(unequal_conditions(results_of(tmp_path)))
    leave(tmp_path, "bptt", ["bptt"], 0, 2, rnn(0.2), conditions="b", recipe="s")
    budgets, options = unequal_conditions(results_of(tmp_path))
    assert budgets.startswith("fabricated at 128: the runs had unequal budgets, data or evaluations")
    assert options.startswith("fabricated at 128: the seeds of bptt had unequal options in stage bptt")


def test_a_result_of_another_version_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(tmp_path / "bptt" / "8" / "0" / "bptt" / "result.json", {"fingerprint": "f", "evaluations": []})
    assert main(["compare", str(tmp_path)]) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert "bptt/result.json is no result of this version of memtrain (the following arguments are required" in told


def test_several_folders_are_not_compared_into_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(fabricate(tmp_path / name)) for name in ("one", "two")]
    assert main(["compare", *folders]) == 1
    assert "--output is left out, but there are 2 folders" in capsys.readouterr().err
    assert not (tmp_path / "one" / "comparison.csv").exists()


def test_an_experiment_without_difficulty_is_compared(tmp_path: Path) -> None:
    leave(tmp_path, "bptt", ["bptt"], 0, 0, rnn(0.2), difficulty=None, difficulty_name=None)
    assert main(["compare", str(tmp_path)]) == 0


def test_a_diverged_teacher_is_named(tmp_path: Path) -> None:
    nothing: Metrics = {"accuracy": 1.0, "loss": math.nan, "bits": math.nan}
    leave(tmp_path, "smt_dmt", ["smt", "dmt"], 0, 0, {"teacher": nothing, **rnn(0.5)})
    assert "the teacher of seed 0 diverged" in next(idle_helpers(table_of(tmp_path)))


def test_the_same_run_in_two_folders_is_refused(tmp_path: Path) -> None:
    folders = [fabricate(tmp_path / name, seeds=1) for name in ("one", "two")]
    with pytest.raises(ValueError, match=r"one/bptt/128/0/bptt and .*two/bptt/128/0/bptt hold the same method"):
        table_of(*folders)


def test_experiments_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, accuracy in (("alpha", 0.9), ("beta", 0.1)):
        for method, difference in (("first", 0.0), ("second", 0.5)):
            for seed in range(5):
                metrics = rnn(abs(accuracy - difference) + seed / 100)
                other = {"experiment": name, "difficulty_name": "pairs" if name == "beta" else "length"}
                leave(tmp_path / name, method, ["bptt"], 0, seed, metrics, **other)
    folders = [tmp_path / "alpha", tmp_path / "beta"]
    rows = table_of(*folders)
    said = [line for line in verdict(rows, NONE, {}).splitlines() if "ahead" in line and "trained at" not in line]
    assert [line.partition(" [")[0] for line in said] == [
        "alpha, length 128: first (IQM 92.0 %",
        "beta, pairs 128: second (IQM 42.0 %",
    ]
    assert len(summarize(rows)) == 4


def test_runs_of_different_commits_or_hardware_are_told(tmp_path: Path) -> None:
    assert not list(differences(origins([])))
    places = [("a", "abacus"), ("b", "abacus"), ("b", "loom")]
    for seed, (commit, processor) in enumerate(places):
        origin = {"commit": commit, "versions": {}, "hardware": {"processor": processor}}
        leave(tmp_path / "three", "bptt", ["bptt"], 0, seed, rnn(0.5), provenance=origin)
    assert list(differences(origins(results_of(tmp_path / "three")))) == [
        "The runs come from 2 commits: a, b.",
        "The runs come from 2 kinds of hardware, so that seconds differ: processor abacus; processor loom.",
    ]
    first, second = ({"commit": c, "versions": {}, "hardware": {"processor": "abacus"}} for c in ("a", "b"))
    leave(tmp_path / "one", "bptt", ["bptt"], 0, 0, rnn(0.5), provenance=second, continued_from=[first])
    assert origins(results_of(tmp_path / "one"))["commit"] == ["a", "b"]


def test_methods_of_one_kind_and_unlike_sizes_are_told_unless_two_are_alike(tmp_path: Path) -> None:
    def told(**sizes: int) -> list[str]:
        for name, size in sizes.items():
            leave(tmp_path, name, ["bptt"], 0, 0, rnn(0.5), parameters={"rnn": size})
        return list(unlike_sizes(read_results([tmp_path])))

    leave(tmp_path, "smt", ["smt"], 0, 0, both(0.9, 0.5), parameters={"teacher": 9, "rnn": 9})  # of another kind
    assert told(plain=100, again=100, near=200) == []
    assert told(near=201) == [
        "fabricated: again has 100 and near has 201 parameters; add a method of the same stages and of about the same "
        "size."
    ]
    assert len(told(far=1000)) == 1  # one sentence for all
    assert told(matched=110) == []


def test_drifts_of_different_teachers_or_networks_are_told_apart(tmp_path: Path) -> None:
    def told(method: str, teacher: str, size: int) -> list[str]:
        changes = {"recipe": teacher, "parameters": {"teacher": 9, "rnn": size}}
        leave(tmp_path, method, ["smt", "dmt"], 0, 0, both(0.9, 0.5), diagnostics=DRIFT, **changes)
        changes["recipe"] = f"{method} after {teacher}"
        leave(tmp_path, method, ["smt", "dmt"], 1, 0, both(0.9, 0.5), diagnostics=DRIFT, **changes)
        return list(unlike_drifts(read_results([tmp_path])))

    leave(tmp_path, "bptt", ["bptt"], 0, 0, rnn(0.5))  # has no drift
    assert told("windows", "one", 100) == []
    assert told("whole", "one", 100) == []  # DMT otherwise, with the same teacher
    assert told("larger", "one", 200) == [
        "fabricated: the drifts of larger, whole, windows are distances to memories of different teachers or in "
        "different networks, and do not compare across methods; accuracy and loss do."
    ]
    assert told("larger", "one", 100) == []
    assert len(told("longer", "two", 100)) == 1


def test_sequential_depth_is_shown_where_the_rows_have_it(tmp_path: Path) -> None:
    rows = table_of(fabricate(tmp_path))
    without = rows.drop(columns="sequential_depth")
    assert "depth" not in [str(column.header) for column in table("fabricated", without).columns]
    deep = table("fabricated", rows.assign(sequential_depth=12_345.0))
    assert set(next(column for column in deep.columns if column.header == "depth").cells) == {"12 k"}


def test_the_table_of_seeds_shows_each_seed_and_no_mean_of_a_diverged_method(tmp_path: Path) -> None:
    for seed, accuracy in enumerate([0.1, 0.5, 0.6, 0.7, 1.0]):
        leave(tmp_path, "steady", ["bptt"], 0, seed, rnn(accuracy))
    leave(tmp_path, "wild", ["bptt"], 0, 0, {"rnn": {"accuracy": 0.5, "loss": math.nan, "bits": math.nan}})
    rows = table_of(tmp_path)
    shown = seeds_table("fabricated", rows[rows["evaluation_difficulty"] == 128])
    steady, wild = zip(*(column.cells for column in shown.columns), strict=True)
    assert steady[:3] == ("128", "steady", "60.0 %")
    assert steady[4] == "10.0, 50.0, 60.0, 70.0, 100.0"
    assert wild == ("", "wild", "diverged", "", "50.0")


def test_the_next_command_takes_the_best_methods_first_seed(tmp_path: Path) -> None:
    fabricate(tmp_path)
    checkpoint = tmp_path / "smt_dmt" / "128" / "0" / "dmt" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    commands = next_commands(table_of(tmp_path), tmp_path)
    assert commands[0] == f"tensorboard --logdir {tmp_path}"
    assert len(commands) == 1  # most of what a probe's RNN says is no continuation
    loss = table_of(tmp_path).assign(score="loss", higher_is_better=False)
    assert next_commands(loss, tmp_path)[1] == f"memtrain generate --checkpoint {checkpoint}"
