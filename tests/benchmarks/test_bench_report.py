"""What is printed and written: one row by hand, with and without the other side."""

from typing import Any

import pytest

from benchmarks.report import cells, duration, markdown_table, missed, rich_table, row
from benchmarks.timing import Timing
from benchmarks.workloads import WORKLOADS

D = next(workload for workload in WORKLOADS if workload.name == "D")
FAST = row(D, Timing([1.0, 1.0, 1.0], [3.0, 3.0, 3.0]), {})
SLOW = row(D, Timing([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]), {})
ALONE = row(D, Timing([0.5, 0.5, 0.5], []), {})


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.2345, "1.23 s"), (0.00123, "1.23 ms"), (4.56e-5, "45.6 µs"), (7e-9, "7 ns")]
)
def test_durations_have_three_digits_and_a_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_row_by_hand() -> None:
    assert {
        key: FAST[key] for key in ("name", "ours_seconds", "theirs_seconds", "ratio", "target", "spread", "met")
    } == {
        "name": "D",
        "ours_seconds": 1.0,
        "theirs_seconds": 3.0,
        "ratio": 3.0,
        "target": 2.5,
        "spread": 0.0,
        "met": True,
    }
    assert FAST["configuration"]["rollout"] == 64
    assert FAST["configuration"]["size"]["width"] == 128
    assert cells(FAST) == ["D", "1 s", "3 s", "3.00", "2.5", "0%", "yes"]


def test_without_the_other_side_nothing_is_met_or_missed() -> None:
    assert (ALONE["theirs_seconds"], ALONE["ratio"], ALONE["met"]) == (None, None, None)
    assert cells(ALONE) == ["D", "500 ms", "-", "-", "2.5", "0%", "-"]
    assert missed([ALONE]) == []


def test_a_missed_target_is_said() -> None:
    assert missed([FAST, SLOW]) == ["D: target 2.5 missed, ratio 2.00."]
    assert cells(SLOW)[-1] == "NO"
    assert rich_table([FAST, SLOW]).row_count == 2


def test_the_markdown_table_says_what_was_compared_and_where() -> None:
    record: dict[str, Any] = {
        "workloads": [FAST],
        "hardware": {"processor": "Abacus", "threads": 2},
        "versions": {"torch": "2.13.0"},
        "commit": "0123456789abcdef",
        "date": "2026-01-02",
        "parity": {"readout": 1e-6, "rollout": 4e-6},
        "streaming": {"young_tokens": 1_000, "old_tokens": 100_000, "young_seconds": 2e-3, "ratio": 1.01},
    }
    lines = markdown_table(record).splitlines()
    assert lines[0] == "| workload | ours | theirs | ratio | target | spread | met |"
    assert lines[2] == "| D | 1 s | 3 s | 3.00 | 2.5 | 0% | yes |"
    assert lines[4] == f"- `D`: {D.comparison}."
    assert "From the same weights, readout, rollout of both sides differ by at most 4e-06." in lines
    assert "Streaming takes 2 ms a token at token 1,000 and 1.010 times that at token 100,000." in lines
    assert lines[-1].endswith("Abacus, 2 threads, float32, torch 2.13.0, commit 0123456789ab, 2026-01-02.")
