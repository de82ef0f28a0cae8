"""The table of metrics that every run keeps."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from memtrain.fit import table as module
from memtrain.fit.table import MetricsTable


def test_the_table_is_not_written_whole_at_each_logged_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    table, lines = MetricsTable(tmp_path), []
    for step in range(4):
        table.log_metrics({"loss": 0.5} if step else {"accuracy": 0.25}, step)
        table.save()
        lines.append(len((tmp_path / "metrics.csv").read_text().splitlines()))
        now += 2
    assert lines == [2, 2, 2, 5]
    table.log_metrics({"loss": 0.25}, 4)
    table.finalize("success")
    text = (tmp_path / "metrics.csv").read_bytes()
    assert text == b"step,accuracy,loss\n0,0.25,\n1,,0.5\n2,,0.5\n3,,0.5\n4,,0.25\n"


def test_the_row_of_a_checkpoint_is_in_the_table_that_a_killed_run_leaves(tmp_path: Path) -> None:
    """Lightning saves the checkpoint of a step before it logs that step."""
    table = MetricsTable(tmp_path)
    table.log_metrics({"loss": 0.5}, 0)
    table.save()
    table.cover_checkpoint()
    table.log_metrics({"loss": 0.25}, 1)
    table.save()  # and killed here
    assert (tmp_path / "metrics.csv").read_text() == "step,loss\n0,0.5\n1,0.25\n"
