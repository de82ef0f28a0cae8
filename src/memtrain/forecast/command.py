"""From a checkpoint and a file to quantiles or sample paths, in a table or a figure."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from memtrain.data import TableDataModule
from memtrain.data.tables.outputs import in_units
from memtrain.data.tables.reader import IRREGULAR, TableReader
from memtrain.data.tables.roles import ADDED
from memtrain.data.tables.rows import SINCE_LAST, TableRows
from memtrain.data.unpacked import kind_of
from memtrain.export import ExportedModel, is_export, open_export
from memtrain.files import write_figure, write_text
from memtrain.forecast.figure import draw_forecast
from memtrain.forecast.future import Future, stamps, with_future
from memtrain.limits import require_at_least, require_between
from memtrain.networks import Channels, Interface, NumberOutputs, StreamingModel
from memtrain.networks.forecasting import Series, draw_paths
from memtrain.networks.sequence_model import Streaming
from memtrain.training.loading import load_datamodule, load_module

LEVELS = (0.1, 0.5, 0.9)
AT_ONCE = 4096
"""Sample paths that are drawn side by side."""


def forecast(
    checkpoint: Path,
    data: Path,
    horizon: int,
    output: Path,
    samples: int = 100,
    levels: Sequence[float] = LEVELS,
    seed: int = 0,
) -> None:
    """Forecast each series of a file from its last observed target on, with the RNN alone.

    Args:
        checkpoint: of a stage that has an RNN, trained on a `TableDataModule` to predict the next row; or the folder of
            its export.
        data: a file as the training data were.
        horizon: rows to forecast, H.
        output: a `.csv` of quantiles, or of all paths where there are no levels; or a `.png`.
        samples: paths of each series, S.
        levels: of the quantiles, within (0, 1).
        seed: of the draws.

    Raises:
        ValueError: naming option, value and remedy.
    """
    check(output, horizon, samples, levels)
    model, interface, trained_on = load(checkpoint)
    channels, targets = inputs_and_targets(interface, trained_on, checkpoint)
    future = with_future(read_like(trained_on, channels, targets, data), horizon)
    paths = draw_all(model, interface, future, samples, seed)
    if not np.isfinite(paths).all():
        raise ValueError(f"The paths that {checkpoint} draws grow beyond all bounds; train longer, or lower --horizon.")
    if output.suffix == ".png":
        write_figure(output, draw_forecast(future, targets, paths, sorted(levels or LEVELS)), bbox_inches="tight")
    else:
        table = quantiles(future, targets, paths, levels) if levels else all_paths(future, targets, paths)
        write_text(output, table.to_csv(index=False, lineterminator="\n"))
    print(f"Forecast: {output}")


def load(checkpoint: Path) -> tuple[Streaming, Interface, TableDataModule]:
    """What forecasts, what goes in and comes out, and what it was trained on, of a checkpoint or an export.

    Raises:
        ValueError: if it takes in no rows of a table, one after the other.
    """
    model: object
    if is_export(checkpoint):
        export = open_export(checkpoint)
        model, interface, data = export.model(), export.interface, export.datamodule()
    else:
        *_, model = (module := load_module(checkpoint)).models.values()
        interface, data = module.interface, load_datamodule(checkpoint)
    if not isinstance(model, StreamingModel | ExportedModel):
        raise ValueError(
            f"{checkpoint} has no model that takes in one row after the other; give a checkpoint of stage smt, dmt, "
            "bptt or baseline, or an export."
        )
    if not isinstance(data, TableDataModule):
        raise ValueError(
            f"{checkpoint} was trained on {type(data).__name__}, no table of numbers; give one that was trained on "
            "TableDataModule, or use memtrain generate for tokens."
        )
    return model, interface, data


def check(output: Path, horizon: int, samples: int, levels: Sequence[float]) -> None:
    """Refuse options that no checkpoint can satisfy."""
    require_at_least("--horizon", horizon, 1, example=24)
    require_at_least("--samples", samples, 1, example=100)
    for level in levels:
        require_between("--levels", level, 0.001, 0.999, example="0.1 0.5 0.9")
    if output.suffix not in (".csv", ".png"):
        raise ValueError(f"--output is {output}, but must end in .csv, a table, or .png, a figure.")


def inputs_and_targets(interface: Interface, data: TableDataModule, checkpoint: Path) -> tuple[Channels, list[str]]:
    """The channels that go in, and the names of those that come out.

    Raises:
        ValueError: if what comes out does not go in, so that a draw cannot be fed back.
    """
    channels, outputs = interface.inputs, interface.outputs
    assert isinstance(channels, Channels)
    assert isinstance(outputs, NumberOutputs)
    observed = [channel.name for channel in channels.channels if not channel.ahead]
    targets = [channel.name for channel in outputs.channels]
    lone = [name for name in targets if name not in observed]
    if lone or data.target_kind != "next":
        raise ValueError(
            f"{checkpoint} predicts {(lone or targets)[0]!r}, which is not among its observed inputs, so that no draw "
            "can be fed back; train with it in data.observed and data.target_kind next."
        )
    return channels, targets


def read_like(trained_on: TableDataModule, channels: Channels, targets: list[str], data: Path) -> TableRows:
    """Read a file as the training data were read, with the checkpoint's columns; what was decided is said."""
    own = [channel for channel in channels.channels if channel.name not in ADDED]
    reader, labels = trained_on.reader, {channel.name: channel.labels for channel in own if channel.labels}
    roles = replace(reader.roles, regime=None)
    if reader.layout == "long" and kind_of(data) != ".tsf":
        observed, known, actions = (
            [channel.name for channel in own if channel.role == role] for role in ("observed", "known", "action")
        )
        roles = replace(roles, targets=targets, observed=observed, known=known, actions=actions)
    irregular = SINCE_LAST in [channel.name for channel in channels.channels]
    frequency = IRREGULAR if irregular else reader.frequency
    rows = TableReader(roles, reader.layout, frequency, reader.calendar, labels).read(str(data))
    for remark in rows.remarks:
        warnings.warn(f"{data}: {remark}.", stacklevel=2)
    if rows.step is None and not irregular:
        raise ValueError(
            f"--data is {data}, whose rows lie at irregular times, but the checkpoint was trained on regular ones; "
            "give such a file, or set data.frequency in training."
        )
    return rows


def draw_all(model: Streaming, interface: Interface, future: Future, samples: int, seed: int) -> NDArray[np.float64]:
    """Sample paths of all series, `[S, samples, H, targets]`, some series at a time."""
    channels = interface.inputs
    assert isinstance(channels, Channels)
    names = [channel.name for channel in channels.channels]
    targets = [names.index(channel.name) for channel in interface.outputs.channels]  # type: ignore[attr-defined]
    rows, starts = future.rows.values(names), future.rows.starts[:-1]
    generator = torch.Generator().manual_seed(seed)
    size = max(1, AT_ONCE // samples)
    paths = []
    for begin in range(0, len(starts), size):
        some = slice(begin, begin + size)
        series = Series(rows, starts[some], future.lengths[some], future.horizon)
        units = lambda drawn: in_units(interface.outputs, drawn)  # noqa: E731
        paths.append(draw_paths(model, channels, targets, series, samples, units, generator))
    return np.concatenate(paths)


def quantiles(future: Future, targets: list[str], paths: NDArray[np.float64], levels: Sequence[float]) -> pd.DataFrame:
    """A row for each series, time and target, with a column for each level."""
    values = np.quantile(paths, levels, axis=1)  # [levels, S, H, targets]
    table = places_of(future, targets)
    for level, quantile in zip(levels, values, strict=True):
        table[f"{level:g}"] = quantile.ravel()
    return table


def all_paths(future: Future, targets: list[str], paths: NDArray[np.float64]) -> pd.DataFrame:
    """A row for each series, time, target and sample."""
    samples = paths.shape[1]
    table = places_of(future, targets)
    table = table.loc[table.index.repeat(samples)].reset_index(drop=True)
    table["sample"] = np.tile(np.arange(samples), len(table) // samples)
    table["value"] = np.moveaxis(paths, 1, -1).ravel()
    return table


def places_of(future: Future, targets: list[str]) -> pd.DataFrame:
    """Series, time and target of each forecast number, series by series."""
    series = np.repeat(future.rows.series, future.horizon * len(targets))
    times = [time for n in range(len(future.rows.series)) for time in np.repeat(stamps(future.times(n)), len(targets))]
    return pd.DataFrame({"series": series, "time": times, "target": targets * (len(times) // len(targets))})
