"""Documents of text files, read in pieces at constant memory: Parquet, JSON lines and plain text."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet

from memtrain.data.sources import files_under, require_column
from memtrain.data.unpacked import kind_of, open_unpacked, reading

KINDS = (".parquet", ".jsonl", ".txt")
PIECE = 1 << 20
"""Characters of plain text that are held at a time."""


class Piece(NamedTuple):
    """A stretch of text, as it is read.

    Attributes:
        text: some characters of a document; all of them where it is a cell of a table.
        ends: whether the document ends here.
        separator: whether a separator's line stands here.
    """

    text: str
    ends: bool
    separator: bool = False


def text_files(path: Path) -> list[Path]:
    """List a source's text files: the file itself, or all files of one kind in a folder, in order of name.

    Raises:
        ValueError: if there is none.
    """
    files = files_under(path)
    for kind in KINDS:
        chosen = [file for file in files if kind_of(file) == kind]
        if chosen:
            return chosen
    raise ValueError(
        f"data.path is {path}, which holds no {', '.join(KINDS)} file; give such a file or a folder of them."
    )


def read_file(file: Path, column: str, separator: str | None) -> Iterator[Piece]:
    """Read one file.

    Args:
        file: of one of `KINDS`, packed by gzip or not.
        column: name of the column that holds the text; a `.txt` file has none.
        separator: a line of a `.txt` file that ends a document; None for one document a file.

    Raises:
        ValueError: naming the file, if it is damaged, or has no such column of text.
    """
    kind = kind_of(file)
    if kind == ".txt":
        yield from _read_plain(file, separator)
    else:
        yield from cells(_read_parquet(file, column) if kind == ".parquet" else _read_lines(file), column, file)


def cells(rows: Iterable[dict[str, Any]], column: str, source: object) -> Iterator[Piece]:
    """Take the text of each row; a row without it gives an empty piece.

    Args:
        rows: names of columns and values.
        column: the column of text.
        source: file or data set, for errors.

    Raises:
        ValueError: if no row has the column, or it holds something else than text.
    """
    columns: set[str] = set()
    for row in rows:
        columns.update(row)
        text = row.get(column)
        if text is not None and not isinstance(text, str):
            raise ValueError(
                f"data.column is {column!r}, but in {source} it holds a {type(text).__name__}, not text; "
                f"choose a column of text{_others(columns, column)}."
            )
        yield Piece(text or "", ends=True)
    if columns:
        require_column(columns, column, source)


def _others(columns: Iterable[str], column: str) -> str:
    others = sorted(set(columns) - {column})
    return f" among {', '.join(others)}" if others else ""


def _read_parquet(file: Path, column: str) -> Iterator[dict[str, Any]]:
    with open_unpacked(file) as stream:
        with reading(file, ".parquet file", "repair or remove it"):
            table = pyarrow.parquet.ParquetFile(stream)
            columns: Sequence[str] = table.schema_arrow.names
        require_column(columns, column, file)
        with reading(file, ".parquet file", "repair or remove it"):
            others = dict.fromkeys(columns)  # not read
            for batch in table.iter_batches(batch_size=1024, columns=[column]):
                for text in batch.column(column).to_pylist():
                    yield {**others, column: text}


def _read_lines(file: Path) -> Iterator[dict[str, Any]]:
    with reading(file, ".jsonl file", "repair or remove it"), open_unpacked(file) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number} holds a {type(row).__name__}, where each must hold one object")
            yield row


def _read_plain(file: Path, separator: str | None) -> Iterator[Piece]:
    with reading(file, ".txt file", "repair or remove it"), open_unpacked(file) as packed:
        stream = io.TextIOWrapper(packed, encoding="utf-8", errors="replace")
        size = PIECE if separator is None else max(PIECE, len(separator) + 2)
        yield from documents(iter(lambda: stream.readline(size), ""), separator)


def documents(lines: Iterable[str], separator: str | None) -> Iterator[Piece]:
    r"""Cut lines into documents; the separator's line belongs to none, nor does the line break before it.

    For example, with the separator `---`, the lines of `"one\n---\ntwo\n"` give the documents `one` and `two\n`.

    Args:
        lines: with their line breaks; a long one may come in several parts.
        separator: see `read_file`.
    """
    held = ""  # a line break that may yet turn out to belong to a separator
    at_start, begun = True, False
    for line in lines:
        if at_start and line.strip() == separator:
            yield Piece("", ends=begun, separator=True)
            held, begun = "", False
        else:
            body = line.removesuffix("\n")
            yield Piece(held + body, ends=False)
            begun = begun or bool(held + body)
            held = line[len(body) :]
        at_start = line.endswith("\n")
    if begun or held:
        yield Piece(held, ends=True)
