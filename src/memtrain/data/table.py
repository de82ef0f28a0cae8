"""Tables of numbers: time series with covariates, actions and categories, forecast row by row."""

import warnings
from functools import cached_property
from typing import Any

from memtrain.data.blocks import Split
from memtrain.data.numbers import NumberDataModule
from memtrain.data.scales import Scaling
from memtrain.data.tables.outputs import HeadName
from memtrain.data.tables.prepared import PreparedTable
from memtrain.data.tables.reader import TableReader
from memtrain.data.tables.roles import Layout, Roles, TargetKind
from memtrain.data.tables.rows import Calendar
from memtrain.data.tables.windows import Positions, TableDataset, Windows, evaluation_windows, training_windows
from memtrain.limits import require_at_least, require_between
from memtrain.networks import Interface


class TableDataModule(NumberDataModule):
    """A table of numbers: CSV, Parquet, Arrow, Feather, or a `.tsf` file of the Monash archive.

    A row holds what was seen at a time, missing values included. The end of every series is held out: the last share
    for the test, the share before that for validation. Training windows lie in what is before; evaluation windows
    begin with context, and each held-out value is the target of one of them.

    Args:
        path: the file, packed by gzip or not.
        window: timesteps T.
        time: column of timestamps or numbers that rows are sorted by; null: rows are in order, one step apart.
        series: column that says which series a row belongs to; null: all rows are one series.
        targets: columns to predict; null: all numbers that are observed.
        observed: columns that are seen at the time of their row; null: all columns of numbers that have no other role.
        known: columns that are known one row ahead, as holidays or a weather forecast.
        actions: columns of what was done after the row before, and has led to this one.
        categorical: which of these columns are categories; a column that is named here alone is observed.
        regime: column that names the regime of each row, in which scores are also given; empty, 0 or none where it is
            in none.
        target_kind: next: the targets of timestep t stand in row t + 1, a forecast. given: in row t, an estimate; they
            are no inputs then.
        layout: long: a row for each series and time. wide: a column for each series; targets names them, null: all
            columns of numbers without another role.
        frequency: the step from row to row, as `5min`, `h`, `D` or `MS`, or a number where times are numbers; null: it
            is found out. Gaps are filled with rows of missing values. irregular: rows stay as they are, and a known
            channel says how long ago the row before was.
        calendar: parts of the time that are known, as sine and cosine: hour (of the day), weekday, yearday.
        head: distribution of the targets: gaussian, student_t (heavy tails), mixture, quantiles, negative_binomial
            (counts), bernoulli (events, 0 or 1).
        scaling: of numbers, estimated in training: standard (mean and standard deviation), mean_absolute (keeps 0 where
            it is), none.
        asinh: take the inverse hyperbolic sine of scaled numbers, for heavy tails.
        season: rows of a season, as 24 of hourly rows: what seasonal naive looks back, for reference and `mase`.
        stride: rows from one training window to the next.
        context: timesteps of an evaluation window before its first target; null: half of them.
        validation: share of each series that is for validation.
        test: share at the end of each series that is for the test.
        **options: see `SequenceDataModule`.
    """

    def __init__(
        self,
        path: str,
        window: int = 64,
        time: str | None = None,
        series: str | None = None,
        targets: list[str] | None = None,
        observed: list[str] | None = None,
        known: list[str] | None = None,
        actions: list[str] | None = None,
        categorical: list[str] | None = None,
        regime: str | None = None,
        target_kind: TargetKind = "next",
        layout: Layout = "long",
        frequency: str | None = None,
        calendar: list[Calendar] | None = None,
        head: HeadName = "gaussian",
        scaling: Scaling = "standard",
        asinh: bool = False,
        season: int = 1,
        stride: int = 1,
        context: int | None = None,
        validation: float = 0.15,
        test: float = 0.15,
        **options: Any,
    ) -> None:
        require_at_least("data.window", window, 2, example=64)
        require_at_least("data.season", season, 1, example="24 of hourly rows")
        require_at_least("data.stride", stride, 1)
        require_between("data.validation", validation, 0.01, 0.49, example=0.15)
        require_between("data.test", test, 0.01, 0.49, example=0.15)
        self.context = window // 2 if context is None else context
        require_between("data.context", self.context, 0, window - 1, example="null, half of data.window")
        if time is None and (calendar or frequency):
            raise ValueError(
                f"data.{'calendar' if calendar else 'frequency'} is {calendar or frequency}, but data.time is null; "
                "set it to the column of timestamps."
            )
        roles = Roles(time, series, targets, observed, known, actions, categorical, regime, target_kind)
        roles.check()
        self.reader = TableReader(roles, layout, frequency, calendar or [])
        self.path, self.window, self.stride, self.season = path, window, stride, season
        self.head, self.scaling, self.asinh = head, scaling, asinh
        self.validation, self.test = validation, test
        self.target_kind = target_kind
        self.lead = 1 if target_kind == "next" else 0
        super().__init__(**options)

    @property
    def sequence_length(self) -> int:
        """Timesteps T."""
        return self.window

    def interface(self) -> Interface:
        """See `SequenceDataModule.interface`; scales are those of the training split."""
        return self._interface

    @cached_property
    def _interface(self) -> Interface:
        return self.table.interface(self.season, self.target_kind == "next")

    @cached_property
    def table(self) -> PreparedTable:
        """The file's rows and their scales; what was decided in reading it is said, a line each."""
        rows = self.reader.read(self.path)
        for remark in rows.remarks:
            self._say(remark)
        table = PreparedTable(rows, self.validation, self.test, self.head, self.scaling, self.asinh, self._say)
        first, after = table.parts["train"]
        short = after - first < self.window + self.lead
        if short.all():
            longest = int((after - first).max())
            raise ValueError(
                f"data.window is {self.window}, but the longest training part of {self.path} has {longest} rows; set "
                f"it to at most {max(longest - self.lead, 0)}, or give longer series."
            )
        if short.any():
            self._say(f"{short.sum()} of {len(short)} series are too short for a window in training, and are filled up")
        return table

    def build_dataset(self, split: Split) -> TableDataset:
        """Make one split.

        Raises:
            ValueError: if it has no target.
        """
        table = self.table
        windows = self._windows(*table.parts[split], split).with_targets(table.windowed.mask.sum(axis=1) > 0)
        if not len(windows.starts):
            option = {"train": "window", "val": "validation", "test": "test"}[split]
            raise ValueError(
                f"data.{option} is {getattr(self, 'test' if split == 'test' else option)}, but the {split} split of "
                f"{self.path} has no target then; change it, or give more rows."
            )
        samples = self.evaluation_samples
        return TableDataset(table.windowed, windows, self.window, self.lead, split, self.seed, samples)

    def _windows(self, first: Positions, after: Positions, split: Split) -> Windows:
        if split == "train":
            return training_windows(first, after, self.window, self.lead, self.stride)
        begin = self.table.rows.starts[:-1]
        return evaluation_windows(begin, first, after, self.window, self.lead, self.context)

    def reference_lines(self) -> dict[str, float]:
        """Return errors of naive forecasts and the loss of one distribution for all, on the whole test split.

        Returns:
            `seasonal_naive_mae` and `last_value_mae` of forecasts, in scaled units (counts and events as they are), and
            `memoryless_loss`, nats per target, of a normal distribution for gaussian, student_t and mixture, and of the
            rates of events for bernoulli.
        """
        return self.table.reference_lines(self.season, self.target_kind == "next")

    def _say(self, remark: str) -> None:
        warnings.warn(f"{self.path}: {remark}.", stacklevel=2)
