"""How a table is read: columns by role, rows sorted by series and time, gaps filled with rows of missing values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memtrain.data.tables.cleaning import (
    MOST_SLIPS,
    codes_of,
    last_of_each,
    regimes_of,
    series_of,
    without_infinities,
    words_of,
)
from memtrain.data.tables.files import read_table, table_file
from memtrain.data.tables.roles import Layout, Roles, melted, resolve
from memtrain.data.tables.rows import SINCE_LAST, Calendar, TableRows
from memtrain.data.tables.steps import Step, infer_step, on_step, places, rows_between, step_of
from memtrain.data.tables.times import Times, read_times, values_of
from memtrain.data.tables.tsf import SERIES, TIME, VALUE
from memtrain.data.unpacked import kind_of

IRREGULAR = "irregular"
MOST_ROWS = 100
"""Rows after filling gaps for each row before, above which a step is refused."""


@dataclass(frozen=True)
class TableReader:
    """How a table is read; see the options of `TableDataModule`.

    Args:
        roles: of the columns.
        layout: long or wide.
        frequency: a step, `irregular`, or None to find out.
        calendar: parts of the time that are known.
        labels: the values of columns of categories, in the order of their codes; others are found in the file.
    """

    roles: Roles
    layout: Layout = "long"
    frequency: str | None = None
    calendar: Sequence[Calendar] = ()
    labels: Mapping[str, list[str]] = field(default_factory=dict)

    def read(self, path: str) -> TableRows:
        """Read a file.

        Raises:
            ValueError: naming option, column or value, and remedy.
        """
        file = table_file(path)
        roles = self._roles(file)
        frame, remarks = read_table(file, roles.text)
        if self.layout == "wide":
            frame, roles = melted(frame, roles)
        roles, decided = resolve(frame, roles, path)
        remarks = [*remarks, *decided]
        frame = without_infinities(frame, remarks)
        names, codes = series_of(frame, roles.series, file)
        times: Times = pd.Index(frame.groupby(codes).cumcount().to_numpy(np.float64))
        if roles.time is not None:
            times, decided = read_times(frame[roles.time])
            remarks += decided
        order = np.lexsort([values_of(times), codes])
        if roles.time is not None and (np.diff(values_of(times))[np.diff(codes) == 0] < 0).any():
            remarks.append("rows are sorted by time")
        frame, times, codes = frame.iloc[order], times[order], codes[order]
        kept = last_of_each(frame, times, codes, names, roles, remarks)
        return self._placed(frame[kept], times[kept], codes[kept], names, roles, remarks)

    def _roles(self, file: Path) -> Roles:
        """As the options say; those of a `.tsf` file are in it."""
        if kind_of(file) != ".tsf":
            return self.roles
        if self.layout == "wide" or any(self.roles.named.values()):
            raise ValueError(f"data.path is {file}, whose columns are known; leave out the options that name columns.")
        return Roles(time=TIME, series=SERIES, targets=[VALUE], observed=[VALUE])

    def _placed(
        self,
        frame: pd.DataFrame,
        times: Times,
        codes: NDArray[np.int64],
        names: list[str],
        roles: Roles,
        remarks: list[str],
    ) -> TableRows:
        """Rows at their places: one after the other, or a step apart where there is a step."""
        starts = np.searchsorted(codes, np.arange(len(names) + 1))
        step = self._step(times, starts[codes], remarks)
        at, count = np.arange(len(times)), len(times)
        if step is not None:
            steps, kept = self._steps(times, starts[codes], step, remarks)
            lengths = steps[starts[1:] - 1] + 1
            first = times[np.repeat(starts[:-1], lengths)]
            starts = np.append(0, np.cumsum(lengths))
            at, frame, count = (starts[codes] + steps)[kept], frame[kept], int(starts[-1])
            times = step.after(first, np.arange(count) - np.repeat(starts[:-1], lengths))
        if count > len(at):
            remarks.append(f"{count - len(at):,} rows of missing values fill the gaps between {len(at):,} rows")
        labels = {
            name: self.labels.get(name) or sorted(words_of(frame[name]).dropna().unique())
            for name in roles.categorical or []
        }
        columns = {}
        for name in dict.fromkeys([*roles.inputs, *(roles.targets or [])]):
            cells = codes_of(frame[name], labels[name], remarks) if name in labels else frame[name].to_numpy(np.float64)
            columns[name] = np.full(count, np.nan)
            columns[name][at] = cells
        regimes, own = regimes_of(frame, roles.regime)
        regime = np.zeros(count, np.int64)
        regime[at] = own
        return TableRows(columns, roles, labels, names, starts, times, step, self.calendar, regimes, regime, remarks)

    def _step(self, times: Times, firsts: NDArray[np.int64], remarks: list[str]) -> Step | None:
        if self.frequency == IRREGULAR:
            return None
        if self.frequency is not None:
            return step_of(self.frequency, times)
        step = infer_step(times, firsts)
        if step is None:
            remarks.append(f"rows lie at irregular times, so a known channel {SINCE_LAST} is added")
        return step

    def _steps(
        self, times: Times, firsts: NDArray[np.int64], step: Step, remarks: list[str]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Steps from the first row of a series to each, and which rows to keep: the last of each step."""
        found = places(times, firsts, step)
        kept = np.append((np.diff(found) != 0) | (np.diff(firsts) != 0), True)
        rows, left_out = rows_between(found, firsts), int((~kept).sum())
        if left_out > MOST_SLIPS * len(found) or rows > MOST_ROWS * len(found):
            raise ValueError(
                f"data.frequency is {self.frequency!r}, by which {len(found):,} rows become {rows:,}, and {left_out:,} "
                f"are left out as they lie on one step with others; set it to {IRREGULAR}, or to the step between rows."
            )
        if left_out:
            remarks.append(f"of rows for the same step the last counts, and {left_out:,} are left out")
        if not on_step(times, firsts, step):
            remarks.append(f"rows between steps of {self.frequency} count at the nearest one")
        return found, kept
