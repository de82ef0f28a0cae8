"""The rows to come: their times, and what the file knows of them."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memtrain.data.tables.rows import TableRows
from memtrain.data.tables.steps import usual_distance
from memtrain.data.tables.times import Times, times_of, values_of
from memtrain.data.tables.windows import within


@dataclass(frozen=True)
class Future:
    """Series, each up to its last observed target, and H rows after it.

    Attributes:
        rows: of all series; in the last H of each, what was to be observed is missing.
        lengths: observed rows of each series, int64 `[S]`.
        horizon: H.
    """

    rows: TableRows
    lengths: NDArray[np.int64]
    horizon: int

    def times(self, series: int) -> Times:
        """The times of the rows to come, `[H]`."""
        end = self.rows.starts[series + 1]
        return self.rows.times[end - self.horizon : end]


def with_future(rows: TableRows, horizon: int) -> Future:
    """Cut series off after their last observed target, and continue them by so many rows.

    Args:
        rows: of a file; rows after the last observed target say what is known of the future.
        horizon: H.

    Raises:
        ValueError: if a series has no observed target, or the file does not say what it should of the future.
    """
    targets, begin, end = rows.roles.targets or [], rows.starts[:-1], rows.starts[1:]
    observed = (~np.isnan(rows.values(targets))).sum(axis=1) > 0
    last = np.maximum.reduceat(np.where(observed, np.arange(len(observed)), -1), begin)
    if (last < begin).any():
        empty = rows.series[int((last < begin).argmax())]
        raise ValueError(f"Series {empty} has no value of {', '.join(targets)}; leave it out of the file of --data.")
    lengths = last + 1 - begin
    _require_known(rows, end - last - 1, horizon)
    count = lengths + horizon
    series, offset = np.repeat(np.arange(len(begin)), count), within(count)
    source = begin[series] + offset
    there = source < end[series]
    inside = np.minimum(source, end[series] - 1)
    coming = offset >= lengths[series]
    unknown = {*(rows.roles.observed or []), *targets}
    columns = {
        name: np.where(there & ~(coming & (name in unknown)), values[inside], np.nan)
        for name, values in rows.columns.items()
    }
    starts = np.append(0, np.cumsum(count))
    continued = replace(
        rows,
        columns=columns,
        starts=starts,
        times=_times(rows, begin[series], offset, inside, source - inside),
        regime=np.where(there, rows.regime[inside], 0),
    )
    return Future(continued, lengths, horizon)


def _times(
    rows: TableRows,
    firsts: NDArray[np.int64],
    offset: NDArray[np.int64],
    inside: NDArray[np.int64],
    beyond: NDArray[np.int64],
) -> Times:
    """Times of rows in the file, and of rows beyond its end: a step apart, or as far as rows usually are."""
    if rows.step is not None:
        return rows.step.after(rows.times[firsts], offset)
    usual = usual_distance(rows.times, rows.firsts) or 1.0
    return times_of(values_of(rows.times)[inside] + beyond * usual, rows.times)


def _require_known(rows: TableRows, coming: NDArray[np.int64], horizon: int) -> None:
    """Refuse a file that does not say of all rows to come what is known ahead."""
    known = [*(rows.roles.known or []), *(rows.roles.actions or [])]
    short = coming < horizon
    if known and short.any():
        worst = int(short.argmax())
        raise ValueError(
            f"--horizon is {horizon}, but after its last observed target series {rows.series[worst]} has "
            f"{coming[worst]} rows, which say what {known[0]} will be; add rows with empty targets to the file, or "
            "choose a smaller --horizon."
        )


def stamps(times: Times) -> list[str]:
    """Times as people write them."""
    if isinstance(times, pd.DatetimeIndex):
        return [time.isoformat(sep=" ") for time in times]
    return [f"{time:.15g}" for time in times]
