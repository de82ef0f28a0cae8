"""Rows of numbers: lines of CSV below a header, as inputs of a step, and predictions in the data's units."""

import csv
import io
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from memtrain.data import SequenceDataModule
from memtrain.data.numbers import tensor
from memtrain.data.tables.files import MISSING
from memtrain.export.predictions import prediction
from memtrain.export.rows import Inputs, RowFormat, row_format
from memtrain.networks import Channel, Channels, OutputDescription

NEXT = "@next"
"""Behind a channel's name: the column of what is known of it in the row to come."""
LARGEST = float(np.finfo(np.float32).max)
SHOWN = 10
"""Categories that a refusal names."""


class Columns(NamedTuple):
    """Where a header says that the cells stand.

    Attributes:
        now: place of each channel.
        ahead: places of the channels that are known ahead, in the row to come.
        width: cells of a row.
    """

    now: list[int]
    ahead: list[int]
    width: int


class ChannelRows(RowFormat):
    """Lines of CSV with commas, a timestep each, below a header.

    The header names every channel in any order, and for each that is known ahead (role known or action) also a column
    `NAME@next`: what is known of the next row, whose prediction needs it. Other columns are left out. Cells are in the
    data's units, categories by their labels, or by their codes where they have none; missing ones are empty. Blank
    lines are left out, and a header may come again, as where files follow one another.

    Args:
        channels: what the inputs are.
        outputs: what is predicted.
        top: likeliest classes that are written.

    Raises:
        ValueError: for outputs that nobody knows how to write.
    """

    def __init__(self, channels: Channels, outputs: OutputDescription, top: int) -> None:
        self.channels, self.top = channels, top
        self.known = [i for i, channel in enumerate(channels.channels) if channel.ahead]
        self.names = names_of(channels)
        # Predictions depend on parameters alone; those of the head itself are in the exported step.
        self.head = outputs.head(1)
        self.write({}, torch.zeros(1, outputs.parameters))  # refuses now, not at the first row

    def is_header(self, line: str) -> bool:
        """See `RowFormat.is_header`; a line that has the names of all columns."""
        cells = cells_of(line)
        if not set(self.names) <= set(cells):
            return False
        for name in self.names:
            if cells.count(name) > 1:
                raise ValueError(f"the header has two columns {name!r}; rename one.")
        return True

    def read(self, line: str, header: str = "") -> Iterator[Inputs]:
        """See `RowFormat.read`."""
        cells = cells_of(line)
        if not cells:
            return
        if not header:
            lacking = next(name for name in self.names if name not in cells)
            raise ValueError(
                f"a header must come first, with commas between the names of columns, but has no {lacking!r}; give "
                f"{header_of(self.channels)}."
            )
        columns = columns_of(header, self.names, len(self.channels.channels))
        if len(cells) != columns.width:
            raise ValueError(f"the row has {len(cells)} cells, but the header {columns.width}; give as many.")
        now = [number(*pair) for pair in zip(self.channels.channels, (cells[i] for i in columns.now), strict=True)]
        inputs = {"inputs": tensor(self.channels.pack(np.array([now])))}
        if self.known:
            coming = np.full((1, len(now)), np.nan)
            for i, place in zip(self.known, columns.ahead, strict=True):
                coming[0, i] = number(self.channels.channels[i], cells[place], NEXT)
            inputs["ahead"] = tensor(self.channels.pack_ahead(coming))
        yield inputs

    def write(self, inputs: Inputs, parameters: Tensor) -> dict[str, Any]:
        """See `RowFormat.write` and `prediction`."""
        return prediction(self.head, parameters[0].double(), self.top)


def names_of(channels: Channels) -> tuple[str, ...]:
    """The columns of a row: those of all channels, then those of what is known of the next row."""
    ahead = (channel.name + NEXT for channel in channels.channels if channel.ahead)
    return (*(channel.name for channel in channels.channels), *ahead)


def header_of(channels: Channels) -> str:
    """The header with these columns and no others, as a line of CSV without its line break."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names_of(channels))
    return line.getvalue()


def cells_of(line: str) -> list[str]:
    """The cells of a line of CSV; none of a blank one.

    Raises:
        ValueError: if a quotation mark is not closed in it.
    """
    try:
        rows = list(csv.reader([line.removeprefix("\ufeff").strip("\r\n")], strict=True))
    except csv.Error as error:
        raise ValueError(f"the row is no CSV ({error}); close its quotation marks, and keep it on one line.") from error
    return rows[0] if rows and line.strip() else []


@lru_cache(maxsize=1)
def columns_of(header: str, names: tuple[str, ...], channels: int) -> Columns:
    """Where a header says that the columns `names` stand, the first of which are those of all channels."""
    cells = cells_of(header)
    places = [cells.index(name) for name in names]
    return Columns(places[:channels], places[channels:], len(cells))


def number(channel: Channel, cell: str, suffix: str = "") -> float:
    """What a cell says, in the channel's unit or as a category's code; NaN where it is missing.

    Raises:
        ValueError: if it is neither.
    """
    if cell.strip() in MISSING:
        return np.nan
    where = f"column {channel.name}{suffix} has {cell[:40]!r}"
    if channel.categories:
        labels = channel.labels or [str(code) for code in range(channel.categories)]
        if cell not in labels:
            some = ", ".join(labels[:SHOWN]) + (", ..." if len(labels) > SHOWN else "")
            raise ValueError(f"{where}, but must be one of {some}; leave the cell empty where it is missing.")
        return float(labels.index(cell))
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(f"{where}, which is no number; leave the cell empty where it is missing.") from None
    if not abs(channel.scaled(np.array(value))) <= LARGEST:
        raise ValueError(f"{where}, which is beyond all numbers; leave the cell empty where it is missing.")
    return value


@row_format.register
def _(description: Channels, outputs: OutputDescription, data: SequenceDataModule, top: int) -> RowFormat:
    return ChannelRows(description, outputs, top)
