"""Times as people write them, and steps between them."""

import pandas as pd
import pytest

from memtrain.data.tables.rows import calendar_columns
from memtrain.data.tables.times import read_times


def times_of(*cells: object) -> tuple[list, list[str]]:
    times, remarks = read_times(pd.Series(cells, name="t"))
    return list(times), remarks


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["2024-01-31 13:45", "2024-02-01 00:00"], ["2024-01-31 13:45", "2024-02-01"]),
        (["2024-01-31T13:45:10", "2024-02-01T00:00:00"], ["2024-01-31 13:45:10", "2024-02-01"]),
        (["31.01.2024", "01.02.2024"], ["2024-01-31", "2024-02-01"]),
        (["01/02/2024", "01/31/2024"], ["2024-01-02", "2024-01-31"]),
        (["2024-01-01T00:00:00+01:00", "2024-01-01T01:00:00+01:00"], ["2024-01-01 00:00", "2024-01-01 01:00"]),
        (["2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z"], ["2024-01-01 00:00", "2024-01-01 01:00"]),
    ],
)
def test_common_formats_are_read_without_a_word(written: list[str], read: list[str]) -> None:
    assert times_of(*written) == ([pd.Timestamp(time) for time in read], [])


def test_numbers_stay_numbers_and_compact_dates_are_dates() -> None:
    assert times_of("1999", "2000.5") == ([1999.0, 2000.5], [])
    assert times_of("19991231", "20000107") == (
        [pd.Timestamp("1999-12-31"), pd.Timestamp("2000-01-07")],
        ["t is read as dates, YYYYMMDD"],
    )


def test_several_offsets_become_one_clock() -> None:
    """The hour after 01:00 UTC of 27 October 2024 is written twice in Berlin, with different offsets."""
    times, remarks = times_of("2024-10-27T02:00:00+02:00", "2024-10-27T02:00:00+01:00")
    assert times == [pd.Timestamp("2024-10-27 00:00"), pd.Timestamp("2024-10-27 01:00")]
    assert remarks == ["t has several offsets from UTC, and is turned into UTC"]


def test_the_calendar_turns_once_a_day_and_a_week() -> None:
    """Monday 00:00, Monday 06:00, Thursday 12:00: a quarter of a day, half a week."""
    times = pd.DatetimeIndex(["2024-01-01 00:00", "2024-01-01 06:00", "2024-01-04 12:00"])
    columns = calendar_columns(times, ["hour", "weekday"])
    assert columns["hour_sin"] == pytest.approx([0, 1, 0])
    assert columns["hour_cos"] == pytest.approx([1, 0, -1])
    assert columns["weekday_cos"][[0, 2]] == pytest.approx([1, -1])
