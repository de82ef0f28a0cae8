"""`python -m benchmarks` at toy size: what it writes, and what it refuses."""

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.workloads import WORKLOADS


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads wait for each other where other tests use the second core."""
    for module in ("timing", "__main__"):
        monkeypatch.setattr(f"benchmarks.{module}.THREADS", 1)


def test_a_run_writes_its_record_and_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--quick", "--seconds=0", "--only=E_1,H,streaming", f"--output={tmp_path / 'run'}"]
    assert main([*words, f"--save={tmp_path / 'saved'}"]) == 0
    record = json.loads((tmp_path / "run" / "bench.json").read_text())
    assert record.keys() >= {
        "workloads",
        "versions",
        "hardware",
        "commit",
        "command",
        "parity",
        "reference",
        "streaming",
    }
    alone, gru = record["workloads"]
    assert alone.keys() >= {
        *("name", "ours_seconds", "theirs_seconds", "ratio", "target", "comparison", "spread", "met", "configuration")
    }
    assert (alone["name"], alone["theirs_seconds"], alone["ratio"], alone["met"]) == ("E_1", None, None, None)
    assert gru["name"] == "H"
    assert gru["ratio"] == pytest.approx(gru["theirs_seconds"] / gru["ours_seconds"])
    assert gru["met"] == (gru["ratio"] >= 0.77)
    assert record["command"].startswith("python -m benchmarks --quick")
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {"bench.json", "table.md"}
    assert "E_1" in capsys.readouterr().out


def test_an_unknown_workload_is_refused_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only=A_casual", f"--output={tmp_path}"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("benchmarks: only is A_casual, but A_casual is none of ")
    assert all(workload.name in error for workload in WORKLOADS)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_reference_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"--reference={tmp_path}", f"--output={tmp_path}"]) == 1
    assert capsys.readouterr().err == (
        f"benchmarks: reference is {tmp_path}, but {tmp_path / 'src' / 'model.py'} does not exist; "
        "give a checkout of github.com/akarshkumar0101/smt.\n"
    )
