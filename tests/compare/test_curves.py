"""Learning curves of fabricated results, and the methods read from them at equal tokens."""

import math
from pathlib import Path

import pandas as pd
import pytest
from fabricated import fabricate, reading, table_of, write_points, write_result

from memtrain.cli import main
from memtrain.compare.curves import CURVE_COLUMNS, as_csv, read_curves
from memtrain.compare.equal import at_equal_tokens, of_finished
from memtrain.compare.rows import read_results
from memtrain.figures import read_comparison


def two_stages(directory: Path) -> Path:
    """One run of smt and dmt, and one of bptt; each stage is validated once or twice."""
    for position, stage in enumerate(("smt", "dmt")):
        write_result(directory, "smt_dmt", ["smt", "dmt"], position, 0, reading("rollout", 0.5))
        start = 1000 * position
        points = [(start + 500, 5.5 + start, 10 + start, 0.25, 1.5), (start + 1000, 9.5 + start, 20 + start, 0.5, 1.25)]
        write_points(directory / "smt_dmt" / "128" / "0" / stage, points)
    write_result(directory, "bptt", ["bptt"], 0, 0, reading("rollout", 0.5))
    write_points(directory / "bptt" / "128" / "0" / "bptt", [(1200, 3.0, 10**12, 0.75, "nan")])
    return directory


def test_curves_have_a_row_a_validation_in_the_order_of_training(tmp_path: Path) -> None:
    curves = read_curves(read_results([two_stages(tmp_path)]))
    assert list(curves.columns) == CURVE_COLUMNS
    assert curves["method"].tolist() == ["bptt"] + 4 * ["smt_dmt"]
    assert curves["stage"].tolist() == ["bptt", "smt", "smt", "dmt", "dmt"]  # not dmt first, as folders lie
    assert curves["tokens"].tolist() == [1200, 500, 1000, 1500, 2000]
    assert curves["train_seconds"].tolist() == [3.0, 5.5, 9.5, 1005.5, 1009.5]
    assert curves["sequential_flops"].tolist() == [10**12, 10, 20, 1010, 1020]
    assert curves["accuracy"].tolist() == [0.75, 0.25, 0.5, 0.25, 0.5]
    assert math.isnan(curves["loss"][0])


def test_curves_are_the_same_after_a_way_through_their_file(tmp_path: Path) -> None:
    curves = read_curves(read_results([two_stages(tmp_path)]))
    (tmp_path / "curves.csv").write_text(as_csv(curves))
    assert "bptt,128.0,0,bptt,1200,3.0,1000000000000,0.75,\n" in (tmp_path / "curves.csv").read_text()
    pd.testing.assert_frame_equal(read_comparison(tmp_path / "curves.csv"), curves, check_dtype=False)


def test_what_a_stage_does_not_log_is_empty(tmp_path: Path) -> None:
    write_result(tmp_path, "teacher_only", ["teacher"], 0, 0, reading("teacher", 0.5), difficulty=None)
    (tmp_path / "teacher_only/128/0/teacher/metrics.csv").write_text("step,cost/tokens,val/teacher/loss\n9,640,1.5\n")
    (point,) = read_curves(read_results([tmp_path])).to_dict("records")
    assert (point["stage"], point["tokens"]) == ("teacher", 640)
    assert all(math.isnan(point[name]) for name in ("difficulty", "train_seconds", "accuracy", "loss"))


def test_equal_tokens_are_those_of_the_run_that_has_seen_least() -> None:
    # length 32: final tokens are 900 (slow, seed 0), 700 (slow, seed 1) and 1950 (fast), so that all are read at 700:
    # slow's seed 0 a third of the way from 600 to 900, fast a thirteenth of the way from 650 to 1300.
    # length 64 is judged by itself: at 400, before late's first point.
    points = [
        *((32, "slow", 0, tokens, accuracy) for tokens, accuracy in ((300, 0.1), (600, 0.2), (900, 0.3))),
        *((32, "slow", 1, tokens, accuracy) for tokens, accuracy in ((350, 0.1), (700, 0.5))),
        *((32, "fast", 0, tokens, accuracy) for tokens, accuracy in ((650, 0.7), (1300, 0.83), (1950, 0.9))),
        (64, "early", 0, 400, 0.6),
        (64, "late", 0, 500, 1.0),
    ]
    columns = ["difficulty", "method", "seed", "tokens", "accuracy"]
    curves = pd.DataFrame(points, columns=columns).assign(experiment="hand", stage="s", train_seconds=1.0)
    curves = curves.assign(loss=1 - curves["accuracy"], sequential_flops=10)[CURVE_COLUMNS]
    found = at_equal_tokens(curves).set_index(["difficulty", "method", "seed"])
    assert found["tokens"].tolist() == [700, 700, 700, 400, 400]
    assert found["accuracy"].fillna(-1).tolist() == pytest.approx([0.2 + 0.1 / 3, 0.5, 0.71, 0.6, -1])
    late = found.loc[(64, "late", 0)]
    assert late[["stage", "train_seconds", "sequential_flops", "accuracy", "loss"]].isna().all()


def test_compare_writes_curves_and_the_table_at_equal_tokens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(two_stages(tmp_path))]) == 0
    assert list(pd.read_csv(tmp_path / "curves.csv").columns) == CURVE_COLUMNS
    table = pd.read_csv(tmp_path / "equal_tokens.csv").set_index("method")
    assert table["tokens"].tolist() == [1200, 1200]  # bptt's
    # smt ends at 1000 tokens with 0.5, dmt's first point is at 1500 with 0.25: two fifths of the way
    assert table.loc["smt_dmt", ["stage", "sequential_flops"]].tolist() == ["dmt", 416]
    assert table.loc["smt_dmt", "accuracy"] == pytest.approx(0.4)
    shown = " ".join(capsys.readouterr().out.split())
    assert "fabricated, validation split at equal tokens" in shown
    assert "in the middle of schedules" in shown
    assert "bptt 75.0 % 75.0..75.0 1 of 1 3" in shown
    assert "at 1,200 tokens" in shown


def test_without_tokens_there_is_no_table_at_equal_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(fabricate(tmp_path))]) == 0
    assert pd.read_csv(tmp_path / "equal_tokens.csv").empty
    assert "equal tokens" not in capsys.readouterr().out


def test_a_run_that_has_not_ended_sets_no_limit(tmp_path: Path) -> None:
    for seed in range(2):
        stages = range(2 - seed)  # of the second seed SMT alone
        for position in stages:
            write_result(tmp_path, "smt_dmt", ["smt", "dmt"], position, seed, reading("rollout", 0.5))
            place = tmp_path / "smt_dmt" / "128" / str(seed) / ("smt", "dmt")[position]
            write_points(place, [(500 * (position + 1), 1.0, 1, 0.5, 1.0)])
    curves, rows = read_curves(read_results([tmp_path])), table_of(tmp_path)
    assert at_equal_tokens(curves)["tokens"].tolist() == [500, 500]
    assert at_equal_tokens(of_finished(curves, rows))[["seed", "tokens"]].values.tolist() == [[0, 1000]]
