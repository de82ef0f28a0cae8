"""Whole numbers in words: runs of neighbours as their ends."""

from collections.abc import Iterable
from itertools import groupby


def spans(numbers: Iterable[int], separator: str = ", ") -> str:
    """Whole numbers in order, runs of neighbours shortened: 1, 2, 3, 7 is `1-3, 7`."""
    runs = groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0])  # constant along a run
    ends = [[number for _, number in run] for _, run in runs]
    return separator.join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in ends)
