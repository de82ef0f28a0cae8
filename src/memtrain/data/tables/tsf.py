"""The `.tsf` files of the Monash forecasting archive (Godahewa et al., arXiv 2105.06643): a series a line."""

import numpy as np
import pandas as pd

TIME, SERIES, VALUE = "time", "series", "value"
"""Names of the columns that such a file has."""
STEPS = {
    "yearly": pd.DateOffset(years=1),
    "quarterly": pd.DateOffset(months=3),
    "monthly": pd.DateOffset(months=1),
    "weekly": pd.DateOffset(weeks=1),
    "daily": pd.DateOffset(days=1),
    "hourly": pd.DateOffset(hours=1),
    "half_hourly": pd.DateOffset(minutes=30),
    "10_minutes": pd.DateOffset(minutes=10),
    "minutely": pd.DateOffset(minutes=1),
    "4_seconds": pd.DateOffset(seconds=4),
}


def read_tsf(text: str) -> pd.DataFrame:
    """A row for each series and time: columns `series`, `value`, and `time`, a timestamp where each series has a start.

    For example `@attribute series_name string`, `@frequency daily`, `@data`, `T1:5,?,7` are three rows of series T1.

    Args:
        text: the whole file.

    Raises:
        ValueError: saying what is wrong with it, as the rest of a sentence.
    """
    head, found, data = text.partition("@data")
    words = [line.split() for line in head.splitlines() if line.startswith("@")]
    attributes = [(word[1], word[2]) for word in words if word[0] == "@attribute" and len(word) > 2]
    frequency = next((word[1] for word in words if word[0] == "@frequency" and len(word) > 1), None)
    if not found or not attributes:
        raise ValueError("it has no @attribute or no @data")
    frames = [_series(line, attributes, frequency, n) for n, line in enumerate(filter(str.strip, data.splitlines()))]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[SERIES, TIME, VALUE])


def _series(line: str, attributes: list[tuple[str, str]], frequency: str | None, number: int) -> pd.DataFrame:
    *own, values = line.strip().split(":")
    if len(own) != len(attributes):
        raise ValueError(f"series {number + 1} has {len(own)} attributes, where {len(attributes)} are declared")
    known = {kind: value for (_, kind), value in zip(attributes[::-1], own[::-1], strict=True)}  # the first of a kind
    numbers = np.array([np.nan if cell.strip() == "?" else float(cell) for cell in values.split(",")])
    times: pd.DatetimeIndex | np.ndarray = np.arange(len(numbers), dtype=np.float64)
    if "date" in known and frequency in STEPS:
        start = pd.to_datetime(known["date"], format="%Y-%m-%d %H-%M-%S")
        times = pd.date_range(start, periods=len(numbers), freq=STEPS[frequency]).as_unit("us")
    return pd.DataFrame({SERIES: known.get("string", str(number)), TIME: times, VALUE: numbers})
