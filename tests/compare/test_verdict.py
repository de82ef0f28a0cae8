"""Verdicts: who is ahead, what is undecided and what would decide it, and what is never judged."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricated import leave, rnn

from memtrain.cli import main
from memtrain.compare import read_results, summarize, to_rows, verdict
from memtrain.compare.declared import Declared, pairs_of
from memtrain.compare.family import families
from memtrain.compare.queries import ranked
from memtrain.compare.results import read_unfinished
from memtrain.files import write_json

NONE = pd.DataFrame(columns=["experiment", "method", "difficulty", "seed"])
HIGH, LOW = [0.93, 0.95, 0.88, 0.97, 0.91], [0.41, 0.2, 0.6, 0.3, 0.52]
BETWEEN = [0.9, 0.5, 0.55, 0.61, 0.42]


def rows_of(
    accuracies: Mapping[str, Sequence[float]], difficulties: Sequence[float] = (8,), elsewhere: Sequence[float] = ()
) -> pd.DataFrame:
    """Final rows of methods, the same at all difficulties."""
    places = [(d, d) for d in difficulties] + [(difficulties[0], e) for e in elsewhere]
    rows = [
        {
            "experiment": "fabricated",
            "method": method,
            "difficulty_name": "length",
            "difficulty": difficulty,
            "evaluation_difficulty": evaluated,
            "seed": seed,
            "accuracy": accuracy,
            "loss": 1 - accuracy,
            "score": "accuracy",
            "higher_is_better": True,
            "chance": 0.125,
            "final": True,
        }
        for difficulty, evaluated in places
        for method, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]
    return pd.DataFrame(rows)


def said_of(
    rows: pd.DataFrame, family: Sequence[Sequence[str]] | None = None, solved_at: float | None = None
) -> list[str]:
    declared = Declared(None if family is None else pairs_of(family), solved_at)
    return verdict(rows, NONE, {"fabricated": declared}).splitlines()


def test_the_verdict_names_who_is_ahead_with_interval_probability_and_test() -> None:
    said = said_of(rows_of({"smt_dmt": HIGH, "bptt": LOW}))
    # without the lowest and the highest seed: 0.93, 0.95, 0.91 and 0.41, 0.3, 0.52; every seed ahead of every other
    assert said[0].startswith("length 8: smt_dmt (IQM 93.0 % [")
    assert "], 5 seeds) is ahead of bptt (IQM 41.0 % [" in said[0]
    assert said[0].endswith("], 5 seeds): P(better) 1.00, p = 0.0079 (permutation, Holm over 1).")
    assert said[1:] == [
        "fabricated: Holm's correction is over 1 comparison: every pair of methods, since no family is declared, at "
        "each difficulty.",
        "fabricated: no method was tuned here.",
    ]


def test_an_undecided_pair_is_told_how_many_seeds_would_decide() -> None:
    said = said_of(rows_of({"first": HIGH, "second": BETWEEN, "third": LOW}), [["second", "third"]])
    assert said[0].startswith("length 8: second (IQM 55.3 %")
    # 0.9, 0.5, 0.55, 0.61, 0.42 against 0.41, 0.2, 0.6, 0.3, 0.52: 5 + 3 + 4 + 5 + 3 of 25 pairs
    assert "P(better) 0.80, p = 0.15 (permutation, Holm over 1)" in said[0]
    assert said[0].endswith("; if the order stayed as seen, 8 seeds each would decide.")
    assert "fabricated: not compared, for the declared family does not name them: first." in said
    assert any("needs all of them fresh" in line for line in said)


def test_equal_methods_are_undecided_whatever_the_seeds() -> None:
    (first, *_) = said_of(rows_of({"first": HIGH, "second": HIGH}))
    assert "is undecided against" in first
    assert first.endswith("P(better) 0.50, p = 1 (permutation, Holm over 1); neither is ahead on these seeds.")


@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
def test_fewer_than_five_seeds_decide_nothing(seeds: int) -> None:
    said = said_of(rows_of({"first": HIGH[:seeds], "second": LOW}))
    shown = ", ".join(f"{100 * value:.1f} %" for value in HIGH[:seeds])
    plural = "s" if seeds > 1 else ""
    assert said[0] == (
        f"length 8: undecided: {seeds} seed{plural}, at least 5 are needed (accuracy of each seed): first {shown}."
    )
    assert not any("ahead" in line for line in said)


def test_a_method_with_too_few_seeds_stays_out_of_what_the_others_decide_but_in_the_family() -> None:
    said = said_of(rows_of({"first": HIGH, "second": LOW, "third": [1.0]}))
    assert "p = 0.024 (permutation, Holm over 3)" in said[0]  # 3 * 2 / 252
    assert said[1] == "length 8: undecided: 1 seed, at least 5 are needed (accuracy of each seed): third 100.0 %."


def test_the_family_is_every_pair_at_every_difficulty_unless_a_smaller_one_is_declared() -> None:
    rows = rows_of({"first": HIGH, "second": LOW, "third": BETWEEN}, difficulties=(8, 16, 32))
    assert "p = 0.071 (permutation, Holm over 9)" in said_of(rows)[1]  # 9 * 2 / 252
    declared = said_of(rows, [["second", "first"]])
    assert all("p = 0.024 (permutation, Holm over 3)" in line for line in declared[:3])
    assert declared[3] == "fabricated: Holm's correction is over 3 comparisons: the declared pairs, at each difficulty."


def test_readings_at_other_difficulties_are_a_family_of_their_own() -> None:
    said = said_of(rows_of({"first": HIGH, "second": LOW}, difficulties=(8, 16), elsewhere=(32, 64, 128)))
    assert [line.partition(": ")[0] for line in said[:2]] == ["length 8", "length 32, trained at 8"]
    assert "Holm over 2" in said[0]
    assert "Holm over 3" in said[1]


def test_what_no_order_of_so_few_seeds_could_decide_is_told() -> None:
    methods = {f"method_{index}": np.array(HIGH) - 0.1 * index for index in range(5)}
    said = said_of(rows_of({name: list(values) for name, values in methods.items()}))
    assert not any("is ahead" in line for line in said)  # 10 * 2 / 252 = 0.079
    assert (
        "fabricated: none of them can be decided: the smallest p must be at most 0.005, and so few seeds give 0.0079 "
        "at best; 6 seeds each could, or a smaller family that is declared before the runs."
    ) in said
    assert not any("none of them" in line for line in said_of(rows_of(dict(list(methods.items())[:4]))))


def test_a_task_that_runs_solve_or_fail_is_judged_by_who_solves_it() -> None:
    rows = rows_of({"first": [1.0, 0.99, 1.0, 0.98, 0.97], "second": [0.12, 1.0, 0.13, 0.14, 0.11]})
    (said, *_) = said_of(rows, solved_at=0.95)
    assert "solved by 5 of 5 seeds) is ahead of second (IQM 13.0 %" in said
    assert "solved by 1 of 5 seeds)" in said
    assert said.endswith("p = 0.048 (Fisher's test of who reaches 95 %, Holm over 1).")  # 10 / 210


def test_where_a_run_is_neither_at_chance_nor_solved_the_order_of_the_seeds_counts() -> None:
    rows = rows_of({"first": [0.8, 0.7, 0.75, 0.9, 0.85], "second": [0.12, 0.13, 0.14, 0.11, 0.15]})
    (said, *_) = said_of(rows, solved_at=0.95)
    assert said.endswith("P(better) 1.00, p = 0.0079 (permutation, Holm over 1).")
    assert "solved" not in said


def test_seeds_in_between_hide_no_advantage_that_solving_has_not() -> None:
    # all at chance: the permutation test would find the first ahead by a thousandth on every seed
    rows = rows_of({"first": [0.131, 0.132, 0.133, 0.134, 0.135], "second": [0.12, 0.121, 0.122, 0.123, 0.124]})
    assert "is ahead of" in said_of(rows)[0]
    assert "is undecided against" in said_of(rows, solved_at=0.95)[0]


def test_a_lower_loss_is_better() -> None:
    rows = rows_of({"first": HIGH, "second": LOW}).assign(score="loss", higher_is_better=False)
    (said, *others) = said_of(rows, solved_at=0.5)
    assert said.startswith("length 8: first (IQM 0.070 nats [0.0")
    assert "is ahead of second" in said
    assert any("solved_at is declared, but methods are compared by loss" in line for line in others)


def test_an_empty_family_compares_nothing() -> None:
    assert said_of(rows_of({"first": HIGH, "second": LOW}), family=[]) == [
        "fabricated: not compared, for the declared family does not name them: first, second.",
        "fabricated: no method was tuned here.",
    ]


def test_one_method_has_nothing_to_be_compared_with() -> None:
    assert said_of(rows_of({"first": HIGH})) == ["There is only one method, and nothing to compare it with."]


def test_unequal_tuning_is_told() -> None:
    rows = rows_of({"first": HIGH, "second": LOW})

    def told(**trials: int) -> list[str]:
        said = verdict(rows, NONE, {"fabricated": Declared(trials=trials)}).splitlines()
        return [line for line in said if "tun" in line]

    unequal = (
        "fabricated: methods had unequal numbers of tuning trials; no test takes the advantage of more trials away."
    )
    assert told(first=4, second=4) == ["fabricated: tuning trials: first 4, second 4."]
    assert told(first=4, second=2) == ["fabricated: tuning trials: first 4, second 2.", unequal]
    assert told(first=4) == ["fabricated: tuning trials: first 4, second untuned.", unequal]


def test_runs_that_were_asked_for_and_are_not_there_make_it_a_look_in_between() -> None:
    rows = rows_of({"first": HIGH, "second": LOW})
    asked = frozenset((method, 8, seed) for method in ("first", "second") for seed in range(5))

    def told(asked_for: frozenset[tuple[str, float | None, int]], own: pd.DataFrame) -> list[str]:
        said = verdict(own, NONE, {"fabricated": Declared(runs=asked_for)}).splitlines()
        return [line for line in said if "in between" in line]

    assert told(asked, rows) == []
    more = asked | {("first", 8, 5), ("second", 16, 0)}
    assert told(more, rows) == [
        "fabricated: 2 of 12 runs that were asked for have not ended: this is a look in between, and p holds for the "
        "whole alone."
    ]
    plain = rows.assign(difficulty=math.nan, evaluation_difficulty=math.nan)
    assert told(frozenset((method, None, seed) for method, _, seed in asked), plain) == []


def test_compare_reads_what_the_folder_declares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for method, values in (("first", HIGH), ("second", LOW), ("third", BETWEEN)):
        for seed, accuracy in enumerate(values):
            leave(tmp_path, method, ["bptt"], 0, seed, rnn(accuracy))
    (tmp_path / "experiment-1.yaml").write_text("name: fabricated\nfamily: [[first, second]]\n")
    (tmp_path / "tuning.csv").write_text("experiment,method\nfabricated,first\nfabricated,second\n")
    assert main(["compare", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "p = 0.0079 (permutation, Holm over 1)" in shown
    assert "tuning trials: first 1, second 1, third untuned." in shown
    assert "93.0, 95.0, 88.0, 97.0, 91.0" in shown


def test_a_method_with_a_diverged_seed_is_named_and_never_ahead() -> None:
    rows = rows_of({"steady": LOW, "wild": HIGH})
    rows.loc[(rows["method"] == "wild") & (rows["seed"] == 1), "loss"] = math.nan
    said = said_of(rows)
    assert said[0] == "length 8: wild diverged (seed 1: no finite loss), and is not judged."
    assert not any("ahead" in line for line in said)
    assert ranked(rows) == ["steady", "wild"]
    diverged = {entry["method"]: entry["diverged"] for entry in summarize(rows.assign(reading="rnn", stage="dmt"))}
    assert diverged == {"steady": 0, "wild": 1}


def test_a_diverged_method_leaves_its_comparisons_in_the_family() -> None:
    rows = rows_of({"first": HIGH, "second": LOW, "wild": HIGH})
    rows.loc[(rows["method"] == "wild") & (rows["seed"] == 1), "loss"] = math.nan
    assert "p = 0.024 (permutation, Holm over 3)" in said_of(rows)[0]


@pytest.mark.parametrize("begun", ["origins.json", "budget.json"])
def test_a_method_with_a_seed_that_has_begun_and_not_ended_is_named_and_never_judged(
    tmp_path: Path, begun: str
) -> None:
    for seed in range(5):
        leave(tmp_path, "steady", ["bptt"], 0, seed, rnn(0.2 + seed / 100))
        leave(tmp_path, "wild", ["bptt"], 0, seed, rnn(0.9))
    results = read_results([tmp_path])
    assert "is ahead of steady" in verdict(to_rows(results), read_unfinished([tmp_path], results), {})
    write_json(tmp_path / "wild" / "128" / "5" / "bptt" / begun, {})
    unfinished = read_unfinished([tmp_path], results)
    assert unfinished.values.tolist() == [["fabricated", "wild", 128.0, 5]]
    lines = verdict(to_rows(results), unfinished, {}).splitlines()
    assert lines[0].startswith("length 128: wild has begun and not ended (seed 5: at work, killed or diverged")
    assert not any("ahead" in line for line in lines)


@pytest.mark.slow
def test_of_experiments_with_equal_methods_one_in_twenty_has_a_false_claim_at_most() -> None:
    generator, experiments = np.random.default_rng(5), 400
    claims = 0
    for _ in range(experiments):
        rows = rows_of({name: list(generator.uniform(size=5)) for name in ("a", "b", "c")}, difficulties=(8, 16))
        judged = families(rows, NONE, Declared(pairs_of([["a", "b"], ["a", "c"]])))
        claims += any(p <= 0.05 for family in judged for p in family.adjusted)
    assert claims / experiments <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / experiments)
