"""Alternating timings: the order of the rounds, ratio and spread by hand."""

from typing import Any

import pytest

from benchmarks.timing import MAXIMUM_ROUNDS, Side, Timing, alternate


class Scripted(Side):
    """A side whose seconds are written down."""

    def __init__(self, name: str, seconds: list[float], log: list[str]) -> None:
        super().__init__(run=lambda: None)
        object.__setattr__(self, "play", (name, iter(seconds), log))

    play: Any

    def seconds(self) -> float:
        name, script, log = self.play
        log.append(name)
        return next(script)


def test_sides_take_turns_and_ours_comes_first() -> None:
    log: list[str] = []
    timing = alternate(Scripted("ours", [1, 2, 3], log), Scripted("theirs", [4, 5, 6], log), seconds=0.0)
    assert log == ["ours", "theirs"] * 3
    assert timing == Timing([1, 2, 3], [4, 5, 6])


def test_rounds_end_when_there_are_enough_though_time_is_left() -> None:
    log: list[str] = []
    timing = alternate(Scripted("ours", [1.0] * 99, log), None, seconds=60.0)
    assert len(timing.ours) == MAXIMUM_ROUNDS


def test_ratio_and_spread_by_hand() -> None:
    timing = Timing(ours=[1.0, 2.0, 4.0], theirs=[3.0, 4.0, 20.0])  # ratios of the rounds: 3, 2, 5
    assert timing.ratio == 4.0 / 2.0
    assert timing.spread == pytest.approx((4.0 - 2.5) / 3.0)


def test_one_side_alone_has_a_spread_but_no_ratio() -> None:
    timing = Timing(ours=[1.0, 2.0, 3.0], theirs=[])
    assert timing.ratio is None
    assert timing.spread == pytest.approx((2.5 - 1.5) / 2.0)


def test_seconds_are_given_for_one_unit() -> None:
    calls: list[None] = []
    whole, unit = (Side(lambda: calls.append(None) or sum(range(20_000)), units=units) for units in (1.0, 1e6))
    assert unit.seconds() < whole.seconds() / 1e3
    assert calls
