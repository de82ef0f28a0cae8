"""The time column of a table: timestamps or numbers."""

import warnings
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Times: TypeAlias = pd.DatetimeIndex | pd.Index
"""Timestamps in microseconds, or numbers, float64."""
OFFSET = r"(?:Z|z|[+-]\d\d:?\d\d)$"
COMPACT_DATE = r"(?:1[6-9]|2[0-2])\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
"""YYYYMMDD of the years 1600 to 2299."""


def read_times(column: pd.Series) -> tuple[Times, list[str]]:
    """Make times of a column of timestamps, numbers or text.

    Text is a number, a date as `20240131`, ISO 8601, or another format that all rows share. One offset from UTC that
    all rows share is dropped, so that hours are those of the place; several are turned into UTC.

    Args:
        column: of a table; its name is that of `data.time`.

    Returns:
        The times and what was decided, a sentence each.

    Raises:
        ValueError: naming the column and the first value that cannot be read.
    """
    place = f"data.time is {column.name!r}, where"
    if column.isna().any():
        row = int(np.flatnonzero(column.isna())[0]) + 1
        raise ValueError(f"{place} row {row} is empty; fill it in, or remove the row.")
    if isinstance(column.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_any_dtype(column):
        return pd.DatetimeIndex(column).as_unit("us"), []
    if pd.api.types.is_numeric_dtype(column):
        return pd.Index(column.to_numpy(np.float64)), []
    if column.str.fullmatch(COMPACT_DATE).all():
        return _parsed(column, place, format="%Y%m%d"), [f"{column.name} is read as dates, YYYYMMDD"]
    numbers = pd.to_numeric(column, errors="coerce")
    if np.isfinite(numbers).all():
        return pd.Index(numbers.to_numpy(np.float64)), []
    return _read_text(column, place)


def _read_text(column: pd.Series, place: str) -> tuple[Times, list[str]]:
    offsets = column.str.extract(f"({OFFSET})")[0].where(column.str.contains(":"))
    if offsets.isna().all():
        return _parsed(column, place), []
    if offsets.isna().any():
        here, there = column[offsets.isna()].iloc[0], column[offsets.notna()].iloc[0]
        raise ValueError(f"{place} {there!r} has a time zone and {here!r} has none; write all with one, or none.")
    if offsets.nunique() == 1:
        return _parsed(column.str.replace(OFFSET, "", regex=True), place), []
    times = _parsed(column, place, utc=True)
    return times.tz_localize(None), [f"{column.name} has several offsets from UTC, and is turned into UTC"]


def _parsed(column: pd.Series, place: str, **options: object) -> pd.DatetimeIndex:
    """Timestamps of text, with or without day before month, but never of dates that can be read either way."""
    iso = pd.to_datetime(column, errors="coerce", **({"format": "ISO8601"} | options))
    if iso.notna().all():
        return pd.DatetimeIndex(iso).as_unit("us")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a format that had to be guessed
        month, day = (
            pd.to_datetime(column, errors="coerce", dayfirst=first, utc="utc" in options) for first in (False, True)
        )
    if month.notna().all() and day.notna().all():
        differs = (month != day).to_numpy()
        if differs.any():
            raise ValueError(
                f"{place} {column[differs].iloc[0]!r} can be read with day or month first; write 2024-01-31."
            )
    for read in (month, day):
        if read.notna().all():
            return pd.DatetimeIndex(read).as_unit("us")
    best = max((iso, month, day), key=lambda read: read.notna().sum())
    raise ValueError(f"{place} {column[best.isna()].iloc[0]!r} is no time; write it as 2024-01-31 13:45, or remove it.")


def values_of(times: Times) -> NDArray[Any]:
    """Times as numbers: microseconds since 1970 in UTC, or the numbers that they are."""
    return times.asi8 if isinstance(times, pd.DatetimeIndex) else times.to_numpy()


def times_of(values: NDArray[Any], like: Times) -> Times:
    """The inverse of `values_of`, in the time zone of other times."""
    if not isinstance(like, pd.DatetimeIndex):
        return pd.Index(values)
    stamps = pd.DatetimeIndex(np.rint(values).astype(np.int64).astype("datetime64[us]"))
    return stamps if like.tz is None else stamps.tz_localize("UTC").tz_convert(like.tz)
