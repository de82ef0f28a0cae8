"""What is wrong with many tables, put right where it is plain how, and refused in one sentence where it is not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memtrain.data.tables.roles import Roles
from memtrain.data.tables.times import Times, values_of

MOST_SLIPS = 0.01
"""Share of rows that may differ from another of the same time."""
NO_REGIME = ("", "0", "0.0", "false", "none", "normal")
"""What a regime column says of rows in none, whatever the case of its letters."""


def without_infinities(frame: pd.DataFrame, remarks: list[str]) -> pd.DataFrame:
    """Infinite values count as missing."""
    numeric = frame.select_dtypes(np.number)
    infinite = np.isinf(numeric)
    for name, count in infinite.sum().items():
        if count:
            remarks.append(f"{count:,} infinite values of column {name} count as missing")
    return frame.assign(**numeric.mask(infinite)) if infinite.to_numpy().any() else frame


def series_of(frame: pd.DataFrame, column: str | None, file: Path) -> tuple[list[str], NDArray[np.int64]]:
    """The names of the series, in order of appearance, and the number of each row's.

    Without a column all rows are one series, named as the file is.
    """
    if column is None:
        return [file.name.partition(".")[0]], np.zeros(len(frame), np.int64)
    if frame[column].isna().any():
        row = int(np.flatnonzero(frame[column].isna())[0]) + 1
        raise ValueError(f"data.series is {column!r}, where row {row} is empty; fill it in, or remove the row.")
    codes, names = pd.factorize(words_of(frame[column]))
    return [str(name) for name in names], codes.astype(np.int64)


def last_of_each(
    frame: pd.DataFrame, times: Times, codes: NDArray[np.int64], names: list[str], roles: Roles, remarks: list[str]
) -> NDArray[np.bool_]:
    """Which rows to keep, so that no series has a time twice: the last of each.

    Args:
        frame: sorted by series and time.
        times: of the rows.
        codes: the series of each row.
        names: of the series.
        roles: of the columns.
        remarks: one is added where rows are left out.

    Raises:
        ValueError: if so many rows of one series and time differ that they cannot be slips.
    """
    at = values_of(times)
    again = (at[1:] == at[:-1]) & (codes[1:] == codes[:-1])
    if not again.any():
        return np.ones(len(frame), np.bool_)
    used = frame[[*dict.fromkeys([*roles.inputs, *(roles.targets or [])])]]
    equal = (used == used.shift()) | (used.isna() & used.shift().isna())
    differs = again & ~equal.all(axis=1).to_numpy()[1:]
    if differs.sum() > MOST_SLIPS * len(frame):
        row = int(np.flatnonzero(differs)[0])
        remedy = "remove one" if roles.series else "name in data.series the column that tells them apart, or remove one"
        raise ValueError(f"Series {names[codes[row]]} has two different rows for {times[row]}; {remedy}.")
    where = f"; {differs.sum():,} differ, as those for {times[int(differs.argmax())]}" if differs.any() else ""
    remarks.append(f"of rows for the same time the last counts, and {again.sum():,} are left out{where}")
    return np.append(~again, True)


def words_of(cells: pd.Series) -> pd.Series:
    """Cells as text, whole numbers without a point: 1 is the same category in every kind of file."""
    numeric = pd.api.types.is_numeric_dtype(cells)
    return cells.map(lambda cell: f"{cell:.15g}" if numeric else str(cell), na_action="ignore").astype(object)


def codes_of(cells: pd.Series, labels: Sequence[str], remarks: list[str]) -> NDArray[np.float64]:
    """The place of each cell's text among the labels, NaN where it is missing or none of them."""
    codes = words_of(cells).map({label: float(code) for code, label in enumerate(labels)})
    unknown = cells[codes.isna() & cells.notna()]
    if len(unknown):
        remarks.append(f"{unknown.iloc[0]!r} and other new values of column {cells.name} count as missing")
    return codes.to_numpy(np.float64)


def regimes_of(frame: pd.DataFrame, column: str | None) -> tuple[list[str], NDArray[np.int64]]:
    """The names of the regimes, sorted, and the number of each row's, from 1 on; 0 for none."""
    if column is None:
        return [], np.zeros(len(frame), np.int64)
    cells = words_of(frame[column]).fillna("").str.strip()
    cells = cells.mask(cells.str.lower().isin(NO_REGIME), "")
    names = sorted({*cells} - {""})
    return names, cells.map({"": 0} | {name: n for n, name in enumerate(names, start=1)}).to_numpy(np.int64)
