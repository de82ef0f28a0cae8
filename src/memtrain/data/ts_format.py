"""The `.ts` format of the UCR and UEA archives (Bagnall et al., 2018): a series of numbers and its class a line."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memtrain.data.unpacked import open_unpacked, reading

COMMENTS = ("#", "%")


class LabeledSeries(NamedTuple):
    """Series of one number of channels, each with its class.

    Attributes:
        series: float64 `[T_n, C]` each, NaN where missing.
        labels: name of the class of each.
    """

    series: list[NDArray[np.float64]]
    labels: list[str]


def read_ts(file: Path) -> LabeledSeries:
    """Read a `.ts` file, packed by gzip or not.

    After lines such as `@classLabel true up down` and `@data`, each line is a series: its channels with a colon between
    them, the values of each with commas, and its class after the last colon. For example, two channels of three
    timesteps, one value missing: `1.5,2,?:7,7,8:up`.

    Raises:
        ValueError: if the file is damaged, or its series have no classes.
    """
    with reading(file, ".ts file", "repair it or fetch it again"):
        with open_unpacked(file) as stream:
            lines = stream.read().decode(errors="replace").splitlines()
        header, first = _header(lines)
    if header.get("classlabel", ["true"])[:1] != ["true"] or "true" in header.get("targetlabel", []):
        raise ValueError(f"{file} has series without classes (@classLabel is not true); choose other data.")
    if "true" in header.get("timestamps", []):
        raise ValueError(
            f"{file} has a time stamp for each value (@timeStamps is true), which is not read; write the values alone."
        )
    with reading(file, ".ts file", "repair it or fetch it again"):
        return _series(lines[first:], first + 1, header.get("classlabel", ["true"])[1:])


def _header(lines: Iterable[str]) -> tuple[dict[str, list[str]], int]:
    """The words after each @, in lower case, and the first line of data."""
    header: dict[str, list[str]] = {}
    for number, line in enumerate(lines):
        key, *words = line.lower().split() or [""]
        if key == "@data":
            return header, number + 1
        if key and not key.startswith(COMMENTS):
            header[key.removeprefix("@")] = words
    raise ValueError("it has no line @data")


def _series(lines: Iterable[str], first: int, classes: list[str]) -> LabeledSeries:
    found = LabeledSeries([], [])
    for number, line in enumerate(lines, first):
        if not line.strip() or line.startswith(COMMENTS):
            continue
        *channels, label = map(str.strip, line.split(":"))
        if classes and label.lower() not in classes:
            raise ValueError(f"line {number} ends in {label[:40]!r}, which is none of the classes {', '.join(classes)}")
        try:
            found.series.append(series_of(channels))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        found.labels.append(label)
        if found.series[-1].shape[1] != found.series[0].shape[1]:
            raise ValueError(
                f"line {number} has {found.series[-1].shape[1]} channels, others have {found.series[0].shape[1]}"
            )
    if not found.series:
        raise ValueError("no series comes after @data")
    return found


def series_of(channels: Iterable[str]) -> NDArray[np.float64]:
    """Numbers with commas between them, ? where one is missing, of each of C channels, to float64 `[T, C]`.

    Raises:
        ValueError: saying what is wrong with them, as a part of a sentence.
    """
    columns: list[NDArray[Any]] = [np.array(text.replace("?", "nan").split(","), np.float64) for text in channels]
    lengths = sorted({len(column) for column in columns})
    if len(lengths) != 1:
        raise ValueError(f"its channels have {' and '.join(map(str, lengths)) or 'no'} values")
    series = np.stack(columns, axis=1)
    if np.isinf(series).any():
        raise ValueError("it has an infinite value")
    return series
