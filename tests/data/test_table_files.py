"""Tables as people have them: of every kind of file the same rows; damaged and strange ones in one sentence."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.feather
import pyarrow.ipc
import pytest

from memtrain.data import TableDataModule
from memtrain.data.tables.reader import TableReader
from memtrain.data.tables.roles import Roles
from memtrain.data.tables.rows import TableRows

FRAME = pd.DataFrame(
    {"time": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"]), "a": [1.0, np.nan, 3.5], "b": [7, 8, 9]}
)
TIME = Roles(time="time")


def write_stream(path: Path) -> None:
    table = pyarrow.Table.from_pandas(FRAME, preserve_index=False)
    with pyarrow.ipc.new_stream(path, table.schema) as stream:
        stream.write_table(table)


WRITERS: dict[str, Callable[[Path], object]] = {
    "commas.csv": lambda path: FRAME.to_csv(path, index=False),
    "tabs.tsv": lambda path: FRAME.to_csv(path, index=False, sep="\t", na_rep="NA"),
    "semicolons.csv": lambda path: FRAME.to_csv(path, index=False, sep=";"),
    "mark.csv": lambda path: FRAME.to_csv(path, index=False, encoding="utf-8-sig"),
    "packed.csv.gz": lambda path: path.write_bytes(gzip.compress(FRAME.to_csv(index=False).encode())),
    "a.parquet": lambda path: FRAME.to_parquet(path),
    "a.feather": lambda path: FRAME.to_feather(path),
    "stream.arrow": write_stream,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    rows = TableReader(TIME).read(str(tmp_path / name))
    assert rows.remarks == []
    assert list(rows.columns) == ["a", "b"]
    assert np.array_equal(rows.values(["a", "b"]), [[1, 7], [np.nan, 8], [3.5, 9]], equal_nan=True)
    assert list(rows.times) == list(FRAME.time)


TSF = """# of the archive
@relation tiny
@attribute series_name string
@attribute start_timestamp date
@frequency monthly
@missing true
@data
T1:2020-01-01 00-00-00:1,2,?
T2:2021-11-01 00-00-00:5,6.5
"""


def test_a_series_of_a_tsf_file_is_a_series(tmp_path: Path) -> None:
    (tmp_path / "tiny.tsf").write_text(TSF)
    rows = TableReader(Roles()).read(str(tmp_path / "tiny.tsf"))
    assert rows.series == ["T1", "T2"]
    assert rows.starts.tolist() == [0, 3, 5]
    assert np.array_equal(rows.columns["value"], [1, 2, np.nan, 5, 6.5], equal_nan=True)
    assert [f"{time:%Y-%m}" for time in rows.times] == ["2020-01", "2020-02", "2020-03", "2021-11", "2021-12"]
    assert rows.step is not None
    assert rows.step.months == 1


def read(tmp_path: Path, text: str, roles: Roles = TIME, name: str = "t.csv", **options: object) -> TableRows:
    (tmp_path / name).write_text(text)
    return TableReader(roles, **options).read(str(tmp_path / name))  # type: ignore[arg-type]


def test_decimal_commas_between_semicolons_are_read_and_said(tmp_path: Path) -> None:
    rows = read(tmp_path, "a;b\n1,5;2\n-0,25;3\n", Roles())
    assert rows.columns["a"].tolist() == [1.5, -0.25]
    assert rows.remarks == ["the commas in column a are read as decimal points"]


def test_text_among_numbers_is_left_out_and_said(tmp_path: Path) -> None:
    rows = read(tmp_path, "place,a\nhill,1\nvale,2\n", Roles())
    assert list(rows.columns) == ["a"]
    (remark,) = rows.remarks
    assert remark.startswith(
        "column place is left out, as it holds text ('hill'); name it in data.time, data.series or"
    )


def test_a_word_among_numbers_is_told_from_a_column_of_words(tmp_path: Path) -> None:
    rows = read(tmp_path, "load,a\n1,1\n2,2\nbroken,3\n4,4\n", Roles())
    assert list(rows.columns) == ["a"]
    (remark,) = rows.remarks
    assert remark.startswith("column load is left out, as 1 of its 4 cells hold text, the first 'broken'; leave such")


def test_unsorted_rows_are_sorted_and_it_is_said(tmp_path: Path) -> None:
    rows = read(tmp_path, "time,a\n2024-01-03,3\n2024-01-01,1\n2024-01-02,2\n")
    assert rows.columns["a"].tolist() == [1, 2, 3]
    assert rows.remarks == ["rows are sorted by time"]


def test_rows_of_series_that_alternate_are_not_called_unsorted(tmp_path: Path) -> None:
    rows = read(tmp_path, "time,s,a\n1,x,1\n1,y,5\n2,x,2\n2,y,6\n", Roles(time="time", series="s"))
    assert rows.columns["a"].tolist() == [1, 2, 5, 6]
    assert rows.remarks == []


def test_missing_rows_of_regular_series_are_filled_with_missing_values(tmp_path: Path) -> None:
    """Weeks 1, 2, 3, 5 and 6; the gap is no step of its own."""
    days = ["2024-01-06", "2024-01-13", "2024-01-20", "2024-02-03", "2024-02-10"]
    rows = read(tmp_path, "time,a\n" + "".join(f"{day},{n}\n" for n, day in enumerate(days)))
    assert np.array_equal(rows.columns["a"], [0, 1, 2, np.nan, 3, 4], equal_nan=True)
    assert str(rows.times[3].date()) == "2024-01-27"
    assert rows.remarks == ["1 rows of missing values fill the gaps between 5 rows"]


@pytest.mark.parametrize(
    ("days", "months", "filled"),
    [
        (["2024-01-01", "2024-02-01", "2024-04-01", "2024-05-01"], 1, "2024-03-01"),
        (["2023-11-30", "2023-12-31", "2024-01-31", "2024-03-31"], 1, "2024-02-29"),
        (["2023-01-01", "2023-04-01", "2023-07-01", "2024-01-01"], 3, "2023-10-01"),
    ],
)
def test_calendar_months_are_a_step(days: list[str], months: int, filled: str, tmp_path: Path) -> None:
    rows = read(tmp_path, "time,a\n" + "".join(f"{day},1\n" for day in days))
    assert rows.step is not None
    assert rows.step.months == months
    (missing,) = np.flatnonzero(np.isnan(rows.columns["a"]))
    assert str(rows.times[missing].date()) == filled


def test_two_frequencies_leave_rows_as_they_are_and_say_how_long_ago_the_row_before_was(tmp_path: Path) -> None:
    """Ten hours, then ten minutes: filled up there would be 52 rows in place of 20."""
    hours, minutes = ([f"2024-01-01 {n:02d}:00" for n in range(10)], [f"2024-01-01 10:{n:02d}" for n in range(10)])
    rows = read(tmp_path, "time,a\n" + "".join(f"{time},1\n" for time in hours + minutes))
    assert rows.step is None
    assert rows.of_times["time_since_last"][1:].tolist() == [3600.0] * 10 + [60.0] * 9
    assert rows.inputs == {"a": "observed", "time_since_last": "known"}
    assert "irregular times" in rows.remarks[0]


def test_a_frequency_that_is_given_rounds_rows_to_it(tmp_path: Path) -> None:
    text = "time,a\n2024-01-01 00:00:00,1\n2024-01-01 00:05:20,2\n2024-01-01 00:14:50,4\n"
    rows = read(tmp_path, text, frequency="5min")
    assert np.array_equal(rows.columns["a"], [1, 2, np.nan, 4], equal_nan=True)
    assert rows.remarks[0] == "rows between steps of 5min count at the nearest one"


def test_infinite_values_count_as_missing(tmp_path: Path) -> None:
    rows = read(tmp_path, "a,b\n1,2\ninf,3\n-inf,4\n", Roles())
    assert np.isnan(rows.columns["a"]).tolist() == [False, True, True]
    assert rows.remarks == ["2 infinite values of column a count as missing"]


def test_rows_that_stand_twice_count_once(tmp_path: Path) -> None:
    rows = read(tmp_path, "time,a\n1,5\n2,6\n2,6\n3,\n3,\n")
    assert np.array_equal(rows.columns["a"], [5, 6, np.nan], equal_nan=True)
    assert rows.remarks == ["of rows for the same time the last counts, and 2 are left out"]


def test_columns_of_categories_have_codes_in_the_order_of_their_names(tmp_path: Path) -> None:
    rows = read(tmp_path, "kind,a\nsun,1\nrain,2\n,3\nsun,4\n", Roles(categorical=["kind"]))
    assert rows.labels == {"kind": ["rain", "sun"]}
    assert np.array_equal(rows.columns["kind"], [1, 0, np.nan, 1], equal_nan=True)
    assert rows.roles.targets == ["a"]


def test_whole_numbers_are_the_same_category_in_every_kind_of_file(tmp_path: Path) -> None:
    roles = Roles(categorical=["kind"])
    pd.DataFrame({"kind": [2, 10, 2], "a": [1, 2, 3]}).to_parquet(tmp_path / "t.parquet")
    from_text = read(tmp_path, "kind,a\n2,1\n10,2\n2,3\n", roles)
    from_numbers = TableReader(roles).read(str(tmp_path / "t.parquet"))
    assert from_text.labels == from_numbers.labels == {"kind": ["10", "2"]}


def test_a_wide_table_has_a_series_a_column_and_shares_what_is_known(tmp_path: Path) -> None:
    rows = read(tmp_path, "time,h,x,y\n1,0,1,5\n2,1,2,6\n", Roles(time="time", known=["h"]), layout="wide")
    assert rows.series == ["x", "y"]
    assert rows.columns["value"].tolist() == [1, 2, 5, 6]
    assert rows.columns["h"].tolist() == [0, 1, 0, 1]
    assert rows.inputs == {"value": "observed", "h": "known"}


def test_regimes_are_named_and_none_has_many_names(tmp_path: Path) -> None:
    rows = read(tmp_path, "a,r\n1,storm\n2,\n3,None\n4,calm\n5,0\n", Roles(regime="r"))
    assert rows.regimes == ["calm", "storm"]
    assert rows.regime.tolist() == [2, 0, 0, 1, 0]


HOUR = "2024-01-01 0{}:00"
WRONG = {
    "no rows": ("a,b\n", {}, "which has no rows; give a file with one at least"),
    "nothing": ("", {}, "which has no rows"),
    "a name twice": ("a,b,a\n1,2,3\n", {}, "two columns are named 'a', of which one must be renamed"),
    "ragged": ("a,b\n1,2\n3\n", {}, "is not a readable .csv file (CSV parse error: Expected 2 columns, got 1"),
    "no such column": (
        "a,b\n1,2\n",
        {"targets": ["c"]},
        "data.targets names 'c', but the file has only the columns a, b",
    ),
    "only text": ("a\nx\ny\n", {}, "which has no column of numbers to forecast; it has a"),
    "text asked for": (
        "a,b\n1,x\n2,y\n",
        {"observed": ["b"]},
        "data.observed names 'b', which has 'x' in row 1, not a",
    ),
    "a word among numbers": (
        "a\n1\nlow\n3\n",
        {"targets": ["a"]},
        "data.targets names 'a', which has 'low' in row 2, not a number; leave these cells empty",
    ),
    "decimal commas between commas": (
        'a,b\n"1,5",2\n"2,5",3\n',
        {"targets": ["a"]},
        "which has '1,5' in row 1, not a number; write decimal points, or separate the columns by semicolons",
    ),
    "an empty column": ("a,b\n1,\n2,\n", {"targets": ["b"]}, "data.targets names 'b', which is empty; leave it out"),
    "a date": (
        "time,a\n2024-01-01,1\nsoon,2\n",
        {"time": "time"},
        "data.time is 'time', where 'soon' is no time; write it as 2024-01-31 13:45, or remove it",
    ),
    "either way": (
        "time,a\n01/02/2024,1\n02/02/2024,2\n",
        {"time": "time"},
        "'01/02/2024' can be read with day or month first; write 2024-01-31",
    ),
    "no time": (
        "time,a\n1,1\n,2\n",
        {"time": "time"},
        "data.time is 'time', where row 2 is empty; fill it in, or remove",
    ),
    "a zone here and there": (
        "time,a\n2024-01-01T00:00:00+01:00,1\n2024-01-01T01:00:00,2\n",
        {"time": "time"},
        "has a time zone and '2024-01-01T01:00:00' has none; write all with one, or none",
    ),
    "no series": ("s,a\nx,1\n,2\n", {"series": "s"}, "data.series is 's', where row 2 is empty; fill it in, or remove"),
    "one time, two values": (
        "time,a\n1,5\n1,6\n",
        {"time": "time"},
        "has two different rows for 1.0; name in data.series the column that tells them apart, or remove one",
    ),
    "no step": (
        "time,a\n2024-01-01,1\n2024-01-02,2\n",
        {"time": "time", "frequency": "often"},
        "data.frequency is 'often', but must be a step as 5min, h, D, W or MS, null, or irregular",
    ),
    "too coarse": (
        "time,a\n" + "".join(f"{HOUR.format(n)},1\n" for n in range(9)),
        {"time": "time", "frequency": "D"},
        "data.frequency is 'D', by which 9 rows become 1, and 8 are left out",
    ),
    "a calendar of numbers": (
        "time,a\n1,1\n2,2\n3,3\n4,4\n5,5\n6,6\n",
        {"time": "time", "calendar": ["hour"], "window": 2},
        "data.calendar is ['hour'], but data.time holds numbers, not timestamps; leave it out",
    ),
    "no counts": (
        "a\n1\n2.5\n3\n",
        {"head": "negative_binomial", "window": 2},
        "data.head is negative_binomial, which is for counts, whole numbers from 0 on, but column a has 2.5",
    ),
    "no events": (
        "a\n1\n2\n0\n",
        {"head": "bernoulli", "window": 2},
        "which is for events, 0 or 1, but column a has 2",
    ),
    "series shorter than the window": (
        "a\n" + "1\n2\n" * 10,
        {"window": 16},
        "data.window is 16, but the longest training part of {} has 14 rows; set it to at most 13, or give longer",
    ),
    "nothing in training": (
        "a,b\n" + "1,\n" * 70 + "1,2\n" * 30,
        {"window": 4, "targets": ["b"]},
        "data.targets names 'b', which has no value in training; leave it out",
    ),
    "given without targets": (
        "a\n1\n",
        {"target_kind": "given"},
        "data.targets names no column; name the one to predict",
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_read_is_refused_in_one_sentence(case: str, tmp_path: Path) -> None:
    text, options, said = WRONG[case]
    file = tmp_path / "t.csv"
    file.write_text(text)
    data = TableDataModule(path=str(file), **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        data.interface()
    assert said.format(file) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"observed": ["a"], "known": ["a"]}, "data.observed and data.known both name 'a'; leave it out of one"),
        ({"targets": ["a"], "known": ["a"]}, "both name 'a', which would be its own input; leave it out"),
        ({"targets": ["a"], "observed": ["a"], "target_kind": "given"}, "both name 'a', which would be its own input"),
        ({"known": ["a", "a"]}, "data.known names 'a' twice; leave one out"),
        ({"known": ["hour_sin"]}, "which is made from data.time; rename the column"),
        (
            {"calendar": ["hour"]},
            "data.calendar is ['hour'], but data.time is null; set it to the column of timestamps",
        ),
        ({"frequency": "h"}, "data.frequency is h, but data.time is null"),
        ({"window": 1}, "data.window is 1, but must be at least 2"),
        ({"context": 64}, "data.context is 64, but must lie between 0 and 63"),
        ({"season": 0}, "data.season is 0, but must be at least 1"),
        ({"stride": 0}, "data.stride is 0, but must be at least 1"),
        ({"test": 0.6}, "data.test is 0.6, but must lie between 0.01 and 0.49"),
    ],
)
def test_options_that_no_file_can_satisfy_are_refused_before_one_is_read(options: dict, said: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        TableDataModule(path="nowhere.csv", **options)
    assert said in str(refused.value)


def test_a_damaged_file_and_one_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(ValueError, match=r"t.parquet is not a readable .parquet file .*; repair or replace it\.$"):
        TableReader(Roles()).read(str(tmp_path / "t.parquet"))
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"t.xlsx, but must be one file of kind .csv, .*; join those of a folder into"):
        TableReader(Roles()).read(str(tmp_path / "t.xlsx"))
    with pytest.raises(FileNotFoundError, match=r"data.path is a/b, which does not exist; give a file of kind .csv"):
        TableReader(Roles()).read("a/b")


def test_a_tsf_file_names_its_columns_itself(tmp_path: Path) -> None:
    (tmp_path / "tiny.tsf").write_text(TSF)
    with pytest.raises(ValueError, match=r"whose columns are known; leave out the options that name columns"):
        TableReader(Roles(time="time")).read(str(tmp_path / "tiny.tsf"))
    (tmp_path / "bad.tsf").write_text(TSF.replace("T2:", ""))
    with pytest.raises(ValueError, match=r"series 2 has 1 attributes, where 2 are declared"):
        TableReader(Roles()).read(str(tmp_path / "bad.tsf"))
