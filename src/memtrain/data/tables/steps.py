"""The step from one row of a table to the next: a span of time or some calendar months, given or found out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memtrain.data.tables.times import Times, times_of, values_of

MONTHS = {"M": 1, "Q": 3, "Y": 12}
DAY = 86_400_000_000
"""In microseconds."""
TOLERANCE = 1e-4
"""How far from a whole number of steps a time may be."""
MOST_FILLED = 2
"""Rows after filling gaps for each row before, above which sampling counts as irregular."""


@dataclass(frozen=True)
class Step:
    """What lies between one row and the next of a regular series.

    Attributes:
        months: calendar months; 0 where the step is a span.
        size: the span, in microseconds or in the numbers of the time column.
        from_end: whether months are counted between their ends, as from 31 January to 28 February.
    """

    months: int = 0
    size: float = 0.0
    from_end: bool = False

    def ticks(self, times: Times) -> NDArray[np.float64]:
        """Times as numbers that grow by 1 each step."""
        if not self.months:
            return np.asarray(values_of(times) / self.size, dtype=np.float64)
        return self._months(times)[0] / self.months

    def after(self, first: Times, counts: NDArray[np.int64]) -> Times:
        """The times so many steps after others, one by one."""
        if not self.months:
            return times_of(values_of(first) + counts * self.size, first)
        months, rest = self._months(first)
        return times_of(_begin_of(months + counts * self.months).astype(np.int64) + rest, first)

    def _months(self, times: Times) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Months since 1970, and the microseconds since they began or, below 0, until they end."""
        at = values_of(times).astype("datetime64[us]")
        months = at.astype("datetime64[M]").astype(np.int64) + self.from_end
        return months, (at - _begin_of(months)).astype(np.int64)

    def __str__(self) -> str:
        return f"{self.months} months" if self.months else f"{self.size:g}"


def _begin_of(months: NDArray[np.int64]) -> NDArray[Any]:
    return months.astype("datetime64[M]").astype("datetime64[us]")


def step_of(frequency: str, times: Times) -> Step:
    """The step that the option `frequency` names.

    Args:
        frequency: as pandas writes it, `5min`, `h`, `D`, `W`, `MS`; a number where times are numbers.
        times: of the table.

    Raises:
        ValueError: if it is no step.
    """
    try:
        if not isinstance(times, pd.DatetimeIndex):
            return _positive(float(frequency))
        offset = pd.tseries.frequencies.to_offset(frequency)
        base = offset.rule_code.partition("-")[0]
        if base in ("D", "W"):
            return _positive(offset.n * DAY * (7 if base == "W" else 1))
        if base[0] in MONTHS and base[1:] in ("S", "E"):
            return Step(months=offset.n * MONTHS[base[0]], from_end=base[1:] == "E")
        return _positive(pd.Timedelta(offset) / pd.Timedelta(microseconds=1))
    except ValueError:
        example = "5min, h, D, W or MS" if isinstance(times, pd.DatetimeIndex) else "1, as times are numbers"
        raise ValueError(
            f"data.frequency is {frequency!r}, but must be a step as {example}, null, or irregular."
        ) from None


def _positive(size: float) -> Step:
    if not size > 0:
        raise ValueError(size)
    return Step(size=size)


def places(times: Times, firsts: NDArray[np.int64], step: Step) -> NDArray[np.int64]:
    """Steps from the first row of its series to each row, the nearest whole number.

    Args:
        times: of rows `[N]`, sorted within each series.
        firsts: the first row of each row's series, `[N]`.
        step: from row to row.
    """
    ticks = step.ticks(times)
    return np.rint(ticks - ticks[firsts]).astype(np.int64)


def on_step(times: Times, firsts: NDArray[np.int64], step: Step) -> bool:
    """Whether all rows lie whole numbers of steps after the first of their series; see `places`."""
    off = np.abs(values_of(step.after(times[firsts], places(times, firsts, step))) - values_of(times))
    return bool((off <= TOLERANCE * (step.size or 30 * DAY * step.months)).all())


def rows_between(counts: NDArray[np.int64], firsts: NDArray[np.int64]) -> int:
    """Rows that series have, once their gaps are filled; `counts` are of `places`."""
    last = np.append(firsts[1:] != firsts[:-1], True)
    return int((counts[last] + 1).sum())


def usual_distance(times: Times, firsts: NDArray[np.int64]) -> float:
    """What most often lies between a row and the next of its series; 0 where no series has two rows."""
    distances = np.diff(values_of(times))[firsts[1:] == firsts[:-1]].astype(np.float64)
    if not len(distances):
        return 0.0
    unit = float(np.median(distances))
    ratios, counts = np.unique(np.round(distances / unit, 6), return_counts=True)
    return float(ratios[counts.argmax()]) * unit


def infer_step(times: Times, firsts: NDArray[np.int64]) -> Step | None:
    """The step of a regular table, in which rows may be missing; None where sampling is irregular.

    Args:
        times: of rows `[N]`, sorted within each series, none twice.
        firsts: the first row of each row's series, `[N]`.
    """
    usual = usual_distance(times, firsts)
    candidates = [Step(size=usual or 1.0)]
    if isinstance(times, pd.DatetimeIndex) and usual >= 28 * DAY:
        months = max(1, round(usual / (30.4 * DAY)))
        candidates = [Step(months=months), Step(months=months, from_end=True), *candidates]
    for step in candidates:
        few = rows_between(places(times, firsts, step), firsts) <= MOST_FILLED * len(times)
        if few and on_step(times, firsts, step):
            return step
    return None
