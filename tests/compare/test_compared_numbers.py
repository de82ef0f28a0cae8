"""A comparison of forecasts: by their own score, with all numbers as columns, and no advice that is for tokens."""

import json
from pathlib import Path

import pytest
from fabricated import leave, table_of, without_difficulty

from memtrain.cli import main
from memtrain.compare.panels import reference_lines, unit
from memtrain.compare.queries import readable
from memtrain.files import LAST_CHECKPOINT
from memtrain.results import Metrics, Score

LINES: Metrics = {
    "best_possible_loss": 0.5,
    "memoryless_loss": 1.4,
    "best_possible_loss_storm": 2.0,
    "seasonal_naive_mae": 0.9,
    "last_value_mae": 1.1,
}


def forecasts(directory: Path, score: str) -> None:
    """Two methods whose losses and scores disagree, two seeds each."""
    for method, loss, crps in (("calm", 1.0, 0.8), ("sharp", 1.2, 0.3)):
        for seed in range(2):
            readings: dict[str, Metrics] = {"rnn": {"loss": loss + seed / 100, "crps": crps, "loss_storm": 3.0}}
            changes = without_difficulty(readings, LINES)
            leave(directory, method, ["bptt"], 0, seed, readings, score=Score(score, False), **changes)
            checkpoint = directory / method / "128" / str(seed) / "bptt" / LAST_CHECKPOINT
            checkpoint.parent.mkdir(exist_ok=True)
            checkpoint.touch()


def test_all_numbers_and_reference_lines_are_columns(tmp_path: Path) -> None:
    forecasts(tmp_path, "crps")
    rows = table_of(tmp_path)
    assert {"loss", "crps", "loss_storm", *LINES} <= {*rows.columns}
    assert rows["loss_storm"].tolist() == [3.0] * 4
    assert rows["accuracy"].isna().all()


def test_the_figure_has_the_lines_of_its_score(tmp_path: Path) -> None:
    forecasts(tmp_path, "crps")
    rows = table_of(tmp_path)
    for score in ("mae", "crps"):
        drawn = {label: height for height, (label, _) in reference_lines(rows, score).items()}
        assert drawn == {"seasonal naive mae": 0.9, "last value mae": 1.1}
    assert [*reference_lines(rows, "loss")] == [1.4, 0.5]
    assert [*reference_lines(rows, "loss_storm")] == [2.0]
    assert reference_lines(rows, "mae_storm") == reference_lines(rows, "coverage_80") == {}


def test_losses_are_in_nats_in_every_group_and_other_scores_are_not() -> None:
    said = [readable(metric, 0.5) for metric in ("loss", "loss_storm", "crps", "accuracy_storm")]
    assert said == ["0.500 nats", "0.500 nats", "0.5", "50.0 %"]
    assert unit("loss_storm") == " (nats per target)"
    assert unit("crps") == ""


@pytest.mark.parametrize(("score", "best"), [("crps", "sharp"), ("loss", "calm")])
def test_methods_are_compared_by_the_score_and_nothing_is_generated(
    score: str, best: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forecasts(tmp_path, score)
    main(["compare", str(tmp_path)])
    said = capsys.readouterr().out
    assert "memtrain generate" not in said
    verdict = json.loads((tmp_path / "comparison.json").read_text())["verdict"]
    assert verdict.index(best) < verdict.index("calm" if best == "sharp" else "sharp")
