"""Alternating timings of two sides in one process, on `torch.utils.benchmark`."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from torch.utils.benchmark import Timer

THREADS = 2
MINIMUM_ROUNDS, MAXIMUM_ROUNDS = 3, 15
BLOCK_SECONDS = 0.1
"""A round repeats what is faster than this."""


@dataclass(frozen=True)
class Side:
    """One side of a workload.

    Attributes:
        run: does the work once.
        units: what is counted in it (steps, transitions, tokens, samples); seconds are given for one.
    """

    run: Callable[[], object]
    units: float = 1.0

    def seconds(self) -> float:
        """Seconds for one unit: the median of one block of repetitions, after a warm-up."""
        timer = Timer("run()", globals={"run": self.run}, num_threads=THREADS)
        return timer.blocked_autorange(min_run_time=BLOCK_SECONDS).median / self.units


@dataclass(frozen=True)
class Timing:
    """Seconds for one unit, one entry a round.

    Attributes:
        ours: of our side.
        theirs: of the other side; empty where there is none.
    """

    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float | None:
        """Median of theirs over median of ours; above 1 where ours is faster."""
        return statistics.median(self.theirs) / statistics.median(self.ours) if self.theirs else None

    @property
    def spread(self) -> float:
        """Interquartile range over median: of the rounds' ratios, or of our seconds where there is one side."""
        values = [t / o for o, t in zip(self.ours, self.theirs, strict=True)] if self.theirs else self.ours
        if len(values) < 2:
            return 0.0
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        return (high - low) / middle


def alternate(ours: Side, theirs: Side | None, seconds: float, rounds: int = MINIMUM_ROUNDS) -> Timing:
    """Time ours, theirs, ours, theirs, ... so that whatever else the machine does falls on both.

    Args:
        ours: our side.
        theirs: the other side, or None.
        seconds: how long to go on.
        rounds: rounds that are made in any case.
    """
    timing = Timing([], [])
    begin = time.perf_counter()
    while len(timing.ours) < rounds or (len(timing.ours) < MAXIMUM_ROUNDS and time.perf_counter() - begin < seconds):
        timing.ours.append(ours.seconds())
        if theirs is not None:
            timing.theirs.append(theirs.seconds())
    return timing
