"""A table ready to be cut into windows: scales of its channels, its targets, and its rows as networks take them."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from memtrain.data.blocks import Split
from memtrain.data.scales import Scaling, scaled_channel
from memtrain.data.tables.outputs import HeadName, outputs_of, target_values
from memtrain.data.tables.reference import event_loss, gaussian_loss, mean_error, mean_error_of_all, naive
from memtrain.data.tables.rows import SINCE_LAST, TableRows
from memtrain.data.tables.windows import WindowedRows, parts
from memtrain.networks import Channel, Channels, Interface

DENSITIES = ("gaussian", "student_t", "mixture")


class PreparedTable:
    """Rows with the scales of their training part.

    Args:
        rows: of the file.
        validation: share of each series that is for validation.
        test: share at its end that is for the test.
        head: distribution of the targets.
        scaling: see `scaled_channel`.
        asinh: see `scaled_channel`.
        say: called with what was decided, a sentence each.
    """

    def __init__(
        self,
        rows: TableRows,
        validation: float,
        test: float,
        head: HeadName,
        scaling: Scaling,
        asinh: bool,
        say: Callable[[str], None],
    ) -> None:
        self.rows, self.head, self.scaling, self.asinh, self.say = rows, head, scaling, asinh, say
        self.parts = parts(rows.starts, validation, test)
        self.target_names = rows.roles.targets or []

    def inside(self, split: Split) -> NDArray[np.bool_]:
        """Which rows belong to a split, bool `[N]`."""
        (first, after), rows = self.parts[split], np.arange(len(self.rows.times))
        lengths = self.rows.lengths
        return (rows >= np.repeat(first, lengths)) & (rows < np.repeat(after, lengths))

    @cached_property
    def channels(self) -> dict[str, Channel]:
        """All inputs and targets by name.

        Raises:
            ValueError: if there are no rows for training, or a target has no value in them.
        """
        train, names = self.inside("train"), [*dict.fromkeys([*self.rows.inputs, *self.target_names])]
        if not train.any():
            raise ValueError(f"The file has {len(train)} rows, which leave none for training; give more rows.")
        values = self.rows.values(names)[train]
        return {name: self._channel(name, values[:, i]) for i, name in enumerate(names)}

    def _channel(self, name: str, values: NDArray[np.float64]) -> Channel:
        role, labels = self.rows.inputs.get(name, "observed"), self.rows.labels
        if name in labels:
            return Channel(name, role, categories=len(labels[name]), labels=labels[name])
        known = values[~np.isnan(values)]
        if name not in self.rows.columns:  # it follows from times
            scale = float(np.median(known)) if name == SINCE_LAST and len(known) else 1.0
            return Channel(name, role, scale=scale, asinh=name == SINCE_LAST)
        if not len(known) and name in self.target_names:
            raise ValueError(f"data.targets names {name!r}, which has no value in training; leave it out.")
        if not len(known) or (known == known[0]).all():
            self.say(f"column {name} {'is constant' if len(known) else 'has no value'} in training")
        return scaled_channel(name, role, values, self.scaling, self.asinh)

    @property
    def inputs(self) -> Channels:
        """What goes in."""
        return Channels([self.channels[name] for name in self.rows.inputs])

    @cached_property
    def targets(self) -> NDArray[np.float64]:
        """The targets in each row, as the head takes them, NaN where missing, `[N, C']`."""
        channels = [self.channels[name] for name in self.target_names]
        return target_values(self.head, channels, self.rows.values(self.target_names))

    def interface(self, season: int, forecast: bool) -> Interface:
        """What goes in and what comes out.

        Args:
            season: rows that seasonal naive looks back.
            forecast: whether targets are of the next row; others have no naive forecast.
        """
        train = self.inside("train")
        errors = mean_error(naive(self.targets, self.rows.firsts, season), self.targets, train) if forecast else []
        channels = [self.channels[name] for name in self.target_names]
        return Interface(self.inputs, outputs_of(self.head, channels, self.targets[train], errors, self.rows.regimes))

    def reference_lines(self, season: int, forecast: bool) -> dict[str, float]:
        """See `TableDataModule.reference_lines`."""
        train, test = self.inside("train"), self.inside("test")
        lines: dict[str, float] = {}
        for name, back in (("seasonal_naive_mae", season), ("last_value_mae", 1)) if forecast else ():
            lines[name] = mean_error_of_all(naive(self.targets, self.rows.firsts, back), self.targets, test)
        if self.head in DENSITIES:
            lines["memoryless_loss"] = gaussian_loss(self.targets[train], self.targets[test])
        if self.head == "bernoulli":
            lines["memoryless_loss"] = event_loss(self.targets[train], self.targets[test])
        return {name: value for name, value in lines.items() if np.isfinite(value)}

    @cached_property
    def windowed(self) -> WindowedRows:
        """What windows are cut out of."""
        raw = np.pad(self.rows.values(list(self.rows.inputs)), ((0, 1), (0, 0)), constant_values=np.nan)
        targets = np.pad(self.targets, ((0, 1), (0, 0)), constant_values=np.nan)
        return WindowedRows(
            inputs=self.inputs.pack(raw),
            ahead=self.inputs.pack_ahead(raw) if self.inputs.known_ahead else None,
            targets=np.nan_to_num(targets).astype(np.float32),
            mask=~np.isnan(targets),
            regime=np.append(self.rows.regime, 0) if self.rows.regimes else None,
        )
