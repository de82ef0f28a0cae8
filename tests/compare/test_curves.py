"""Learning curves of fabricated results, and the methods read from them at equal tokens."""

import math
from pathlib import Path

import pandas as pd
import pytest
from fabricated import fabricate, leave, reading, rnn, table_of, write_points

from memtrain.cli import main
from memtrain.compare.curves import CURVE_COLUMNS, as_csv, read_curves
from memtrain.compare.equal import at_equal_tokens, of_finished
from memtrain.compare.results import read_results
from memtrain.figures import read_comparison


def two_stages(directory: Path) -> Path:
    """One run of smt and dmt, and one of bptt; each stage is validated once or twice."""
    for position, stage in enumerate(("smt", "dmt")):
        leave(directory, "smt_dmt", ["smt", "dmt"], position, 0, rnn(0.5))
        start = 1000 * position
        points = [(start + 500, 5.5 + start, 10 + start, 0.25, 1.5), (start + 1000, 9.5 + start, 20 + start, 0.5, 1.25)]
        write_points(directory / "smt_dmt" / "128" / "0" / stage, points)
    leave(directory, "bptt", ["bptt"], 0, 0, rnn(0.5))
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
    stages = ["teacher", "smt"]
    leave(tmp_path, "smt", stages, 0, 0, {"teacher": reading(0.5)}, difficulty=None)
    leave(tmp_path, "smt", stages, 1, 0, rnn(0.5), difficulty=None)  # by which the method is compared
    (tmp_path / "smt/128/0/teacher/metrics.csv").write_text("step,cost/tokens,val/teacher/loss\n9,640,1.5\n")
    point, *_ = read_curves(read_results([tmp_path])).to_dict("records")
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
            leave(tmp_path, "smt_dmt", ["smt", "dmt"], position, seed, rnn(0.5))
            place = tmp_path / "smt_dmt" / "128" / str(seed) / ("smt", "dmt")[position]
            write_points(place, [(500 * (position + 1), 1.0, 1, 0.5, 1.0)])
    curves, rows = read_curves(read_results([tmp_path])), table_of(tmp_path)
    assert at_equal_tokens(curves)["tokens"].tolist() == [500, 500]
    assert at_equal_tokens(of_finished(curves, rows))[["seed", "tokens"]].values.tolist() == [[0, 1000]]


def test_curves_saved_again_by_a_spreadsheet_are_read(tmp_path: Path) -> None:
    curves = read_curves(read_results([two_stages(tmp_path)]))
    file = tmp_path / "bptt" / "128" / "0" / "bptt" / "metrics.csv"
    file.write_text("\ufeff" + file.read_text(encoding="utf-8"), encoding="utf-8")
    pd.testing.assert_frame_equal(read_curves(read_results([tmp_path])), curves)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"step,cost/tokens\n1,many\n", b'a,b\n"1,2\n3'])
def test_curves_that_are_no_table_are_told(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = two_stages(tmp_path) / "bptt" / "128" / "0" / "bptt" / "metrics.csv"
    file.write_bytes(content)
    assert main(["compare", str(tmp_path)]) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert f"{file} is no table (" in told
