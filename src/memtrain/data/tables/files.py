"""Tables in files: CSV, Parquet, Arrow and Feather, and the `.tsf` files of the Monash archive, as one data frame."""

import csv
import io
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
from pyarrow import types

from memtrain.data.sources import local_path
from memtrain.data.tables.tsf import read_tsf
from memtrain.data.unpacked import kind_of, open_unpacked, reading

TEXTS = (".csv", ".tsv", ".txt")
ARROWS = (".arrow", ".feather")
KINDS = (*TEXTS, ".parquet", *ARROWS, ".tsf")
DELIMITERS = ",;\t|"
MISSING = ["", "?", "-", ".", "NA", "N/A", "#N/A", "n/a", "NaN", "nan", "-nan", "null", "NULL", "None", "<NA>"]
"""What stands for a missing value in a file of text."""
DECIMAL_COMMA = r"[-+]?\d+(?:,\d+)?"


class Table(NamedTuple):
    """What a file holds.

    Attributes:
        frame: columns of float64, timestamps or text, NaN or NaT where missing.
        remarks: what was decided in reading it, a sentence each.
    """

    frame: pd.DataFrame
    remarks: list[str]


def table_file(path: str) -> Path:
    """The file that the option `path` names.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is no file of a kind that can be read.
    """
    file = local_path(path)
    if file is None:
        raise FileNotFoundError(f"data.path is {path}, which does not exist; give a file of kind {', '.join(KINDS)}.")
    if not file.is_file() or kind_of(file) not in KINDS:
        raise ValueError(
            f"data.path is {path}, but must be one file of kind {', '.join(KINDS)}; join those of a folder into one."
        )
    return file


def read_table(file: Path, text: Collection[str]) -> Table:
    """Read a table.

    Args:
        file: of one of `KINDS`, packed by gzip or not.
        text: columns of a text file to be left as they are written, even where they look like numbers.

    Raises:
        ValueError: naming the file, if it is damaged, has no rows, or two columns of one name.
    """
    kind, remarks = kind_of(file), list[str]()
    with open_unpacked(file) as stream:
        content = stream.read()
    with reading(file, f"{kind} file", "repair or replace it"):
        if kind == ".tsf":
            frame = read_tsf(content.decode("latin-1"))
        elif kind in TEXTS:
            frame, remarks = _read_text(content, text)
        else:
            frame = _frame(_read_arrow(content, kind))
    if frame.empty:
        raise ValueError(f"data.path is {file}, which has no rows; give a file with one at least.")
    return Table(frame, remarks)


def _read_text(content: bytes, text: Collection[str]) -> tuple[pd.DataFrame, list[str]]:
    header = next((line for line in content.decode("utf-8-sig", "replace").splitlines() if line.strip()), "")
    delimiter = max(DELIMITERS, key=header.count)
    names = next(csv.reader([header], delimiter=delimiter), [])
    if not content.strip().partition(b"\n")[2].strip():
        return pd.DataFrame(columns=names), []
    _refuse_twice(names)
    table = pyarrow.csv.read_csv(
        io.BytesIO(content),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
        convert_options=pyarrow.csv.ConvertOptions(
            null_values=MISSING, strings_can_be_null=True, column_types=dict.fromkeys(text, pyarrow.string())
        ),
    )
    remarks = ["a column without a name is left out"] if "" in names else []
    frame = _frame(table.drop_columns([""]) if "" in names else table)
    for name in () if delimiter == "," else [name for name in frame if name not in text]:
        cells = frame[name].dropna()
        if len(cells) and isinstance(cells.iloc[0], str) and cells.str.fullmatch(DECIMAL_COMMA).all():
            frame[name] = pd.to_numeric(frame[name].str.replace(",", "."))
            remarks.append(f"the commas in column {name} are read as decimal points")
    return frame, remarks


def _read_arrow(content: bytes, kind: str) -> pyarrow.Table:
    if kind == ".parquet":
        return pyarrow.parquet.read_table(io.BytesIO(content))
    try:
        return pyarrow.feather.read_table(io.BytesIO(content))
    except pyarrow.ArrowInvalid:  # a stream, as Hugging Face writes it
        return pyarrow.ipc.open_stream(io.BytesIO(content)).read_all()


def _frame(table: pyarrow.Table) -> pd.DataFrame:
    """Columns of numbers, truth values and decimals as float64, timestamps as such, all others as text."""
    _refuse_twice(table.column_names)
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if types.is_boolean(kind):
            column = column.cast(pyarrow.uint8())
        elif types.is_date(kind):
            column = column.cast(pyarrow.timestamp("us"))
        elif types.is_dictionary(kind):
            column = column.cast(kind.value_type)
        if types.is_null(kind) or _is_number(column.type):
            columns[name] = column.cast(pyarrow.float64(), safe=False).to_pandas()
        elif types.is_timestamp(column.type):
            columns[name] = column.to_pandas().dt.as_unit("us")
        else:
            columns[name] = column.to_pandas().map(str, na_action="ignore")
    return pd.DataFrame(columns)


def _is_number(kind: pyarrow.DataType) -> bool:
    return types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)


def _refuse_twice(names: Collection[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"two columns are named {twice[0]!r}, of which one must be renamed")
