"""Comparisons of fabricated results: rows, summary, verdict, figure and what is printed."""

import json
import math
import statistics
from pathlib import Path

import pandas as pd
import pytest
from fabricated import ACCURACIES, fabricate, reading, table_of, write_result
from PIL import Image

from memtrain.cli import main
from memtrain.compare import COLUMNS, read_results, summarise, to_rows, verdict
from memtrain.compare.comparison import next_commands
from memtrain.compare.origins import differences, origins, unequal_conditions
from memtrain.compare.queries import ranked
from memtrain.compare.rows import read_unfinished
from memtrain.compare.verdict import idle_teachers, unlike_sizes
from memtrain.files import write_json

NONE = pd.DataFrame(columns=["experiment", "method", "difficulty", "seed"])


def test_teacher_and_smt_are_read_at_the_end_of_their_stage_at_its_cost(tmp_path: Path) -> None:
    rows = table_of(fabricate(tmp_path, seeds=1))
    own = rows[rows["evaluation_difficulty"] == 128].set_index("method")
    assert own["accuracy"].to_dict() == {name: values[0] for name, values in ACCURACIES.items()}
    assert own["train_seconds"].to_dict() == {"teacher": 10, "smt": 10, "smt_dmt": 20, "bptt": 10}
    assert own["parameters"].to_dict() == {"teacher": 200, "smt": 100, "smt_dmt": 100, "bptt": 100}
    assert own["gradient_steps"].to_dict() == {"teacher": 0, "smt": 1, "smt_dmt": 128, "bptt": 128}
    assert own["drift_mean"].isna().to_dict() == {"teacher": True, "smt": False, "smt_dmt": False, "bptt": True}
    assert own["final"].to_dict() == {"teacher": False, "smt": False, "smt_dmt": True, "bptt": True}


def test_the_teacher_is_read_where_the_last_stage_that_trains_it_ends(tmp_path: Path) -> None:
    stages = ["short", "smt", "dmt"]
    for position, (accuracy, trains) in enumerate(((0.5, True), (1.0, True), (1.0, False))):
        metrics = reading("teacher", accuracy) | reading("rollout", 0.1 * position)
        write_result(tmp_path, "smt_dmt", stages, position, 0, metrics, trains_teacher=trains)
    rows = table_of(tmp_path)
    own = rows[rows["evaluation_difficulty"] == 128].set_index("method")
    assert (own.loc["teacher", "accuracy"], own.loc["teacher", "train_seconds"]) == (1.0, 20)
    assert set(own.index) == {"teacher", "short", "short_smt", "smt_dmt"}


def test_the_summary_has_mean_and_range_over_seeds_at_the_training_difficulty(tmp_path: Path) -> None:
    summary = {entry["method"]: entry for entry in summarise(table_of(fabricate(tmp_path)))}
    assert set(summary) == set(ACCURACIES)
    assert summary["smt_dmt"] == {
        "experiment": "fabricated",
        "method": "smt_dmt",
        "difficulty": 128,
        "metric": "accuracy",
        "mean": pytest.approx(0.97),
        "minimum": 0.96,
        "maximum": 0.98,
        "seeds": 3,
        "diverged": 0,
    }


def test_the_verdict_names_who_is_ahead_at_each_difficulty(tmp_path: Path) -> None:
    said = verdict(table_of(fabricate(tmp_path)), NONE).splitlines()
    assert len(said) == 2  # two methods, at the training length and at twice that
    spread = 100 * (statistics.stdev(ACCURACIES["smt_dmt"]) + statistics.stdev(ACCURACIES["bptt"]))
    assert said[0] == (f"length 128: smt_dmt (accuracy 97.0 %) is ahead of bptt (12.5 %; spread {spread:.1f} %).")
    assert said[1].startswith("length 256, trained at 128: smt_dmt (accuracy 97.0 %) is ahead of bptt")


def verdict_of(first: list[float], second: list[float], tmp_path: Path) -> str:
    for method, values in (("first", first), ("second", second)):
        for seed, accuracy in enumerate(values):
            write_result(tmp_path, method, ["bptt"], 0, seed, reading("rollout", accuracy))
    return verdict(table_of(tmp_path), NONE).splitlines()[0]


def test_two_seeds_decide_nothing(tmp_path: Path) -> None:
    said = verdict_of([0.9, 0.9], [0.1, 0.1], tmp_path)
    assert (
        said
        == "length 128: undecided with fewer than 3 seeds (accuracy; seeds): first (90.0 %; 2), second (10.0 %; 2)."
    )


def test_a_method_with_too_few_seeds_stays_out_of_what_the_others_decide(tmp_path: Path) -> None:
    for method, values in (("first", [0.9, 0.9, 0.9]), ("second", [0.5, 0.5, 0.5]), ("third", [1.0])):
        for seed, accuracy in enumerate(values):
            write_result(tmp_path, method, ["bptt"], 0, seed, reading("rollout", accuracy))
    said = [line for line in verdict(table_of(tmp_path), NONE).splitlines() if line.startswith("length 128: ")]
    assert said == [
        "length 128: first (accuracy 90.0 %) is ahead of second (50.0 %; spread 0.0 %).",
        "length 128: undecided with fewer than 3 seeds (accuracy; seeds): third (100.0 %; 1).",
    ]


def test_a_difference_within_the_spread_decides_nothing(tmp_path: Path) -> None:
    # means 0.6 and 0.5; sample standard deviations 0.1 and 0.1, so that the spread is 0.2
    said = verdict_of([0.5, 0.6, 0.7], [0.4, 0.5, 0.6], tmp_path)
    assert said == "length 128: first (accuracy 60.0 %) is undecided against second (50.0 %; spread 20.0 %)."


def test_a_difference_above_the_spread_decides(tmp_path: Path) -> None:
    # means 0.6 and 0.3, spread 0.2
    assert "is ahead of second (30.0 %; spread 20.0 %)" in verdict_of([0.5, 0.6, 0.7], [0.2, 0.3, 0.4], tmp_path)


def test_without_chance_the_lower_loss_is_ahead(tmp_path: Path) -> None:
    for method, loss in (("first", 2.0), ("second", 1.0)):
        for seed in range(3):
            metrics = {"rollout/accuracy": 0.5, "rollout/loss": loss + seed / 100, "rollout/bits": loss}
            lines = {"unigram_entropy": 3.0, "bigram_entropy": 2.5}
            evaluations = [{"difficulty": None, "split": "test", "metrics": metrics, "reference_lines": lines}]
            nothing = {"difficulty": None, "difficulty_name": None, "evaluations": evaluations}
            write_result(tmp_path, method, ["bptt"], 0, seed, metrics, **nothing)
    assert verdict(table_of(tmp_path), NONE).startswith("second (loss 1.010 nats) is ahead of first (2.010 nats; ")


def test_methods_that_share_stages_keep_their_rows_apart(tmp_path: Path) -> None:
    smt = reading("teacher", 1.0) | reading("rollout", 0.2)
    for method, stages in (("slow", ["smt", "dmt"]), ("fast", ["smt", "other"])):
        write_result(tmp_path, method, stages, 0, 0, smt)
        write_result(tmp_path, method, stages, 1, 0, smt)
    methods = set(table_of(tmp_path)["method"])
    assert methods == {"slow", "fast", "slow:teacher", "fast:teacher", "slow:smt", "fast:smt"}


def test_a_stage_that_trains_a_teacher_alone_is_no_part_of_a_name(tmp_path: Path) -> None:
    stages = ["teacher", "smt", "dmt"]
    both = reading("teacher", 0.9) | reading("rollout", 0.5)
    for position, metrics in enumerate((reading("teacher", 0.9), both, both)):
        write_result(tmp_path, "smt_dmt", stages, position, 0, metrics)
    assert set(table_of(tmp_path)["method"]) == {"teacher", "smt", "smt_dmt"}


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
    assert "smt_dmt (accuracy 97.0 %) is ahead of bptt" in shown
    assert "stayed at chance" not in shown


def test_a_teacher_at_chance_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = reading("teacher", 0.13) | reading("rollout", 0.12)
    write_result(tmp_path, "smt_dmt", ["smt", "dmt"], 0, 0, metrics)
    assert main(["compare", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "length 128: the teacher of seed 0 stayed at chance (13.0 %, chance 12.5 %)" in shown


def test_unfinished_folders_are_compared_as_far_as_they_are(tmp_path: Path) -> None:
    write_result(tmp_path, "smt_dmt", ["smt", "dmt"], 0, 0, reading("teacher", 0.9) | reading("rollout", 0.5))
    write_result(tmp_path, "bptt", ["bptt"], 0, 0, reading("rollout", 0.4))
    assert main(["compare", str(tmp_path)]) == 0
    assert set(pd.read_csv(tmp_path / "comparison.csv")["method"]) == {"teacher", "smt", "bptt"}


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_a_folder_without_results_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path / name)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_every_two_methods_are_judged(tmp_path: Path) -> None:
    for method, accuracy in (("first", 0.9), ("second", 0.89), ("third", 0.1)):
        for seed in range(3):
            write_result(tmp_path, method, ["bptt"], 0, seed, reading("rollout", accuracy + seed / 100))
    said = [line for line in verdict(table_of(tmp_path), NONE).splitlines() if line.startswith("length 128: ")]
    assert said == [  # sample standard deviations 0.01 each
        "length 128: first (accuracy 91.0 %) is ahead of third (11.0 %; spread 2.0 %); "
        "undecided against second (90.0 %; spread 2.0 %).",
        "length 128: second (accuracy 90.0 %) is ahead of third (11.0 %; spread 2.0 %).",
    ]


def test_a_method_with_a_diverged_seed_is_named_and_never_ahead(tmp_path: Path) -> None:
    nothing = {"rollout/accuracy": 1.0, "rollout/loss": math.nan, "rollout/bits": math.nan}
    for seed in range(3):
        write_result(tmp_path, "steady", ["bptt"], 0, seed, reading("rollout", 0.2 + seed / 100))
        write_result(tmp_path, "wild", ["bptt"], 0, seed, nothing if seed == 1 else reading("rollout", 0.9))
    rows = table_of(tmp_path)
    assert (
        verdict(rows, NONE).splitlines()[0] == "length 128: wild diverged (seed 1: no finite loss), and is not judged."
    )
    assert "ahead" not in verdict(rows, NONE)
    assert ranked(rows) == ["steady", "wild"]
    assert {entry["method"]: entry["diverged"] for entry in summarise(rows)} == {"steady": 0, "wild": 1}


@pytest.mark.parametrize("begun", ["origins.json", "budget.json"])
def test_a_method_with_a_seed_that_has_begun_and_not_ended_is_named_and_never_judged(
    tmp_path: Path, begun: str
) -> None:
    for seed in range(3):
        write_result(tmp_path, "steady", ["bptt"], 0, seed, reading("rollout", 0.2 + seed / 100))
        write_result(tmp_path, "wild", ["bptt"], 0, seed, reading("rollout", 0.9))
    results = read_results([tmp_path])
    said = verdict(to_rows(results), read_unfinished([tmp_path], results))
    assert "wild (accuracy 90.0 %) is ahead of steady" in said
    write_json(tmp_path / "wild" / "128" / "3" / "bptt" / begun, {})
    unfinished = read_unfinished([tmp_path], results)
    assert unfinished.values.tolist() == [["fabricated", "wild", 128.0, 3]]
    lines = verdict(to_rows(results), unfinished).splitlines()
    assert lines[0].startswith("length 128: wild has begun and not ended (seed 3: at work, killed or diverged")
    assert not any("ahead" in line for line in lines)


def test_a_seed_that_ends_while_results_are_read_is_unfinished(tmp_path: Path) -> None:
    fabricate(tmp_path)
    results = read_results([tmp_path])
    write_json(tmp_path / "bptt" / "128" / "3" / "bptt" / "origins.json", [])
    write_result(tmp_path, "bptt", ["bptt"], 0, 3, reading("rollout", 0.1))
    assert read_unfinished([tmp_path], results)["seed"].tolist() == [3]


def test_methods_without_a_teacher_that_share_a_stage_keep_its_rows_apart(tmp_path: Path) -> None:
    for method, stages in (("slow", ["easy", "hard"]), ("fast", ["easy", "hard_fast"])):
        for position in (0, 1):
            write_result(tmp_path, method, stages, position, 0, reading("rollout", 0.5))
    assert set(table_of(tmp_path)["method"]) == {"slow", "slow:easy", "fast", "fast:easy"}


def test_unequal_budgets_and_options_are_told(tmp_path: Path) -> None:
    for seed in range(2):
        same = {"conditions": "a", "recipe": "r"}
        write_result(tmp_path, "bptt", ["bptt"], 0, seed, reading("rollout", 0.2), **same)
        write_result(tmp_path, "old", ["bptt"], 0, seed, reading("rollout", 0.2))  # from before they were recorded
    assert not list(unequal_conditions(read_results([tmp_path])))
    write_result(tmp_path, "bptt", ["bptt"], 0, 2, reading("rollout", 0.2), conditions="b", recipe="s")
    budgets, options = unequal_conditions(read_results([tmp_path]))
    assert budgets.startswith("fabricated at 128: the runs had unequal budgets, data or evaluations")
    assert options.startswith("fabricated at 128: the seeds of bptt had unequal options in stage bptt")


def test_several_folders_are_not_compared_into_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(fabricate(tmp_path / name)) for name in ("one", "two")]
    assert main(["compare", *folders]) == 1
    assert "--output is left out, but there are 2 folders" in capsys.readouterr().err
    assert not (tmp_path / "one" / "comparison.csv").exists()


def test_an_experiment_without_difficulty_is_compared(tmp_path: Path) -> None:
    write_result(tmp_path, "bptt", ["bptt"], 0, 0, reading("rollout", 0.2), difficulty=None, difficulty_name=None)
    assert main(["compare", str(tmp_path)]) == 0


def test_a_diverged_teacher_is_named(tmp_path: Path) -> None:
    nothing = {"teacher/accuracy": 1.0, "teacher/loss": math.nan, "teacher/bits": math.nan}
    write_result(tmp_path, "smt_dmt", ["smt", "dmt"], 0, 0, nothing | reading("rollout", 0.5))
    assert "the teacher of seed 0 diverged" in next(idle_teachers(table_of(tmp_path)))


def test_the_same_run_in_two_folders_is_refused(tmp_path: Path) -> None:
    folders = [fabricate(tmp_path / name, seeds=1) for name in ("one", "two")]
    with pytest.raises(ValueError, match=r"one/bptt/128/0/bptt and .*two/bptt/128/0/bptt hold the same method"):
        table_of(*folders)


def test_experiments_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, accuracy in (("alpha", 0.9), ("beta", 0.1)):
        for method, difference in (("first", 0.0), ("second", 0.5)):
            for seed in range(3):
                metrics = reading("rollout", abs(accuracy - difference) + seed / 100)
                other = {"experiment": name, "difficulty_name": "pairs" if name == "beta" else "length"}
                write_result(tmp_path / name, method, ["bptt"], 0, seed, metrics, **other)
    folders = [tmp_path / "alpha", tmp_path / "beta"]
    rows = table_of(*folders)
    assert verdict(rows, NONE).splitlines()[0].startswith("alpha, length 128: first (accuracy 91.0 %) is ahead of")
    assert any(
        s.startswith("beta, pairs 128: second (accuracy 41.0 %) is ahead of") for s in verdict(rows, NONE).splitlines()
    )
    assert len(summarise(rows)) == 4


def test_runs_of_different_commits_or_hardware_are_told(tmp_path: Path) -> None:
    places = [("a", "abacus"), ("b", "abacus"), ("b", "loom")]
    found = origins({"provenance": {"commit": c, "versions": {}, "hardware": {"processor": p}}} for c, p in places)
    assert list(differences(found)) == [
        "The runs come from 2 commits: a, b.",
        "The runs come from 2 kinds of hardware, so that seconds differ: processor abacus; processor loom.",
    ]
    assert not list(differences(origins([])))
    places = [{"commit": c, "versions": {}, "hardware": {"processor": "abacus"}} for c in ("a", "b")]
    assert origins([{"provenance": places[1], "continued_from": places[:1]}])["commit"] == ["a", "b"]


def test_a_gru_of_another_size_is_told_unless_a_matched_one_is_there(tmp_path: Path) -> None:
    write_result(tmp_path, "bptt", ["bptt"], 0, 0, reading("rollout", 0.5), parameters={"rnn": 100})
    write_result(tmp_path, "bptt_gru", ["bptt"], 0, 0, reading("rollout", 0.5), parameters={"rnn": 201})
    assert "bptt_gru has 201 parameters and bptt 100" in next(unlike_sizes(table_of(tmp_path)))
    write_result(tmp_path, "bptt_gru_matched", ["bptt"], 0, 0, reading("rollout", 0.5))
    assert not list(unlike_sizes(table_of(tmp_path)))


def test_the_next_command_takes_the_best_methods_first_seed(tmp_path: Path) -> None:
    fabricate(tmp_path)
    checkpoint = tmp_path / "smt_dmt" / "128" / "0" / "dmt" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    commands = next_commands(table_of(tmp_path), tmp_path)
    assert commands[0] == f"tensorboard --logdir {tmp_path}"
    assert len(commands) == 1  # most of what a probe's RNN says is no continuation
    loss = table_of(tmp_path).assign(chance=float("nan"))
    assert next_commands(loss, tmp_path)[1] == f"memtrain generate --checkpoint {checkpoint}"
