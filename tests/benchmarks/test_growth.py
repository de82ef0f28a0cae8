"""Growth with length, at lengths that take no time."""

import json
from pathlib import Path

import pytest

from benchmarks import growth


@pytest.fixture(autouse=True)
def _few_steps_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "STEP_SECONDS", 0.0)
    monkeypatch.setattr(growth, "THREADS", 1)  # two wait for each other where other tests use the second core


@pytest.mark.parametrize("method", growth.METHODS)
def test_a_point_has_all_that_the_figure_shows(method: str) -> None:
    point = growth.measure(method, 17)
    assert (point["method"], point["length"]) == (method, 17)
    assert point["microseconds_per_token"] > 0
    assert point["sequential_flops"] > 0
    assert json.loads(json.dumps(point)) == point


def test_sequential_flops_of_bptt_grow_with_length_and_those_of_smt_hardly() -> None:
    flops = {m: [growth.measure(m, length)["sequential_flops"] for length in (16, 32)] for m in ("bptt", "smt")}
    assert flops["bptt"][1] > 1.9 * flops["bptt"][0]
    assert flops["smt"][1] < 1.2 * flops["smt"][0]


def test_memory_is_read_off_this_process() -> None:
    held, most = growth.resident_megabytes("VmRSS"), growth.resident_megabytes("VmHWM")
    assert 10 < held <= most


def test_streaming_times_the_same_stream_early_and_late() -> None:
    result = growth.streaming(young=2, old=5, tokens=3)
    assert result["ratio"] == result["old_seconds"] / result["young_seconds"]
    assert result["met"] == (0.95 <= result["ratio"] <= 1.05)


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    points = [
        {"method": m, "length": n, "microseconds_per_token": n, "sequential_flops": n, "peak_megabytes": n}
        for m in growth.METHODS
        for n in (64, 128)
    ]
    growth.draw(points, tmp_path / "figures" / "growth.png")
    assert (tmp_path / "figures" / "growth.png").read_bytes().startswith(b"\x89PNG")
