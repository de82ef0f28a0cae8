"""Rows of a table as numbers, and what is known of their times."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memtrain.data.tables.roles import Roles
from memtrain.data.tables.steps import Step
from memtrain.data.tables.times import Times, values_of
from memtrain.networks.channels import Role

Calendar = Literal["hour", "weekday", "yearday"]
SINCE_LAST = "time_since_last"
MICROSECONDS = 1e6
"""In a second."""


@dataclass(frozen=True)
class TableRows:
    """N rows of S series, sorted by series and time.

    Attributes:
        columns: numbers and codes of categories by name, float64 `[N]`, NaN where missing.
        roles: of the columns.
        labels: the values of each column of categories, in the order of their codes.
        series: the names of the series.
        starts: first row of each series, and N, int64 `[S + 1]`.
        times: of the rows.
        step: from row to row; None where sampling is irregular.
        calendar: parts of the time that are known.
        regimes: names of the regimes 1, 2 and so on.
        regime: of each row, int64 `[N]`, 0 for none.
        remarks: what was decided in reading, a sentence each.
    """

    columns: dict[str, NDArray[np.float64]]
    roles: Roles
    labels: dict[str, list[str]]
    series: list[str]
    starts: NDArray[np.int64]
    times: Times
    step: Step | None
    calendar: Sequence[Calendar]
    regimes: list[str]
    regime: NDArray[np.int64]
    remarks: list[str] = field(default_factory=list)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Rows of each series, int64 `[S]`."""
        return np.diff(self.starts)

    @property
    def firsts(self) -> NDArray[np.int64]:
        """The first row of each row's series, int64 `[N]`."""
        return np.repeat(self.starts[:-1], self.lengths)

    @cached_property
    def of_times(self) -> dict[str, NDArray[np.float64]]:
        """Columns that follow from times: the calendar and, of irregular rows, the time since the row before."""
        columns = calendar_columns(self.times, self.calendar)
        if self.step is None:
            columns[SINCE_LAST] = time_since_last(self.times, self.starts)
        return columns

    @property
    def inputs(self) -> dict[str, Role]:
        """The role of each input, in order."""
        added: dict[str, Role] = dict.fromkeys(self.of_times, "known")
        return self.roles.inputs | added

    def values(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Some columns side by side, those that follow from times among them, `[N, C]`."""
        columns = self.columns | self.of_times
        return np.stack([columns[name] for name in names], axis=-1)


def calendar_columns(times: Times, calendar: Sequence[Calendar]) -> dict[str, NDArray[np.float64]]:
    """Sine and cosine of how much of the day (`hour`), week (`weekday`) or year (`yearday`) has passed.

    Raises:
        ValueError: if times are no timestamps.
    """
    columns: dict[str, NDArray[np.float64]] = {}
    for part in calendar:
        if not isinstance(times, pd.DatetimeIndex):
            raise ValueError(
                f"data.calendar is {[*calendar]}, but data.time holds numbers, not timestamps; leave it out."
            )
        angle = 2 * np.pi * share_passed(times, part)
        columns |= {f"{part}_sin": np.sin(angle), f"{part}_cos": np.cos(angle)}
    return columns


def share_passed(times: pd.DatetimeIndex, part: Calendar) -> NDArray[np.float64]:
    """How much of the day, week or year has passed, in [0, 1)."""
    day = np.asarray(times.hour + times.minute / 60 + times.second / 3600, dtype=np.float64) / 24
    if part == "hour":
        return day
    if part == "weekday":
        return (np.asarray(times.day_of_week, dtype=np.float64) + day) / 7
    return (np.asarray(times.day_of_year, dtype=np.float64) - 1 + day) / 366


def time_since_last(times: Times, starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds, or numbers as times are, since the row before of the same series; NaN at its first, `[N]`."""
    since = np.diff(values_of(times).astype(np.float64), prepend=np.nan)
    since[starts[:-1]] = np.nan
    return since / (MICROSECONDS if isinstance(times, pd.DatetimeIndex) else 1.0)
