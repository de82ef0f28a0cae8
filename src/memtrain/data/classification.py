"""Time series of numbers, each of one class, which is named at its last step."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from memtrain.data.blocks import EVALUATION_SEED, Passes, Split
from memtrain.data.classification_files import read_splits
from memtrain.data.labels import numbered
from memtrain.data.numbers import NumberDataModule, NumberDataset, NumberRows
from memtrain.data.repeats import warn_of_repeated_rows
from memtrain.data.sampler import ENDLESS
from memtrain.data.scales import Scaling, scaled_channel
from memtrain.limits import require_between
from memtrain.networks.channels import Channel, Channels
from memtrain.networks.heads import Categorical
from memtrain.networks.interface import Interface

Numbers = NDArray[np.float64]


class ClassifiedSeries(NamedTuple):
    """Series of one split.

    Attributes:
        values: float64 `[N, T, C]`, NaN where missing and after the end of a series.
        lengths: steps of each series, int64 `[N]`.
        classes: int64 `[N]`.
    """

    values: Numbers
    lengths: NDArray[np.int64]
    classes: NDArray[np.int64]

    def take(self, samples: NDArray[np.int64]) -> "ClassifiedSeries":
        """Some of the series."""
        return ClassifiedSeries(self.values[samples], self.lengths[samples], self.classes[samples])


class SeriesDataset(NumberDataset):
    """Series of one split, padded at their ends; the only target is the class, at the last step of a series itself.

    For example, of T = 4, a series `5 7 8` of class 1, as values and flags of its one channel::

        values   5  7  8  0
        flags    1  1  1  0
        targets  -  -  1  -      (-: no target)

    Args:
        series: all of the split.
        channels: of the series, with their scales.
        seed: the run's seed (training split only, which passes through all series in one random order after another).
        split: "train", "val" or "test".
        samples: evaluation samples wanted; fewer if there are fewer series.
    """

    def __init__(self, series: ClassifiedSeries, channels: Channels, seed: int, split: Split, samples: int) -> None:
        count = len(series.classes)
        super().__init__(ENDLESS if split == "train" else min(samples, count))
        self.inputs = channels.pack(series.values)
        self.last, self.classes = series.lengths - 1, series.classes
        self.passes = Passes(split, seed, count)

    def rows(self, indices: NDArray[np.int64]) -> NumberRows:
        """Return the samples at `indices` `[B]`."""
        chosen = self.passes.rows(indices)
        inputs = self.inputs[chosen]
        mask = np.arange(inputs.shape[1]) == self.last[chosen, None]
        return NumberRows(inputs, np.where(mask, self.classes[chosen, None], 0), mask)


class TimeSeriesClassification(NumberDataModule):
    """Time series that each belong to one class: the UCR and UEA archives, or arrays of one's own.

    Series of unequal lengths are padded at their ends; there all channels are marked as missing, and the class is named
    before, at the last step of the series itself. Scales, classes and the validation split come from the training file
    alone.

    Args:
        path: a folder with NAME_TRAIN.ts and NAME_TEST.ts, as the archives have them, or the first of these files. In
            place of `.ts` both can be `.npz`, with arrays X, `[N, C, T]`, NaN where missing, and y, `[N]`, integers or
            strings.
        held_out: share of the training file's series, class by class, that is for validation; one at least of each
            class that has two.
        time: add a channel that counts the steps.
        scaling: of each channel: standard (mean and standard deviation of the training split), mean_absolute (keeps 0
            where it is), none.
        asinh: take the inverse hyperbolic sine of scaled numbers, for heavy tails.
        **options: see `SequenceDataModule`.
    """

    def __init__(
        self,
        path: str,
        held_out: float = 0.2,
        time: bool = False,
        scaling: Scaling = "standard",
        asinh: bool = False,
        **options: Any,
    ) -> None:
        require_between("data.held_out", held_out, 0.01, 0.9, example=0.2)
        if scaling not in get_args(Scaling):
            raise ValueError(f"data.scaling is {scaling!r}, but must be one of {', '.join(get_args(Scaling))}.")
        self.path = path
        self.held_out = held_out
        self.time = time
        self.scaling: Scaling = scaling
        self.asinh = asinh
        super().__init__(**options)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in the order of their numbers."""
        return self._read[0]

    @property
    def sequence_length(self) -> int:
        """Timesteps T: those of the longest series of both files."""
        return self.series("train").values.shape[1]

    @cached_property
    def channels(self) -> Channels:
        """The channels of the series, with the scales of the training split."""
        columns = np.moveaxis(self.series("train").values, 2, 0)
        names = [f"channel_{number}" for number in range(1, len(columns) + 1 - self.time)]
        channels = [
            scaled_channel(name, "observed", values, self.scaling, self.asinh)
            for name, values in zip(names, columns, strict=False)
        ]
        return Channels(channels + [Channel("time", scale=self.sequence_length, unit="steps")] * self.time)

    def interface(self) -> Interface:
        """See `SequenceDataModule.interface`; reads the files."""
        return Interface(self.channels, Categorical(len(self.class_names), macro_f1=True))

    def series(self, split: Split) -> ClassifiedSeries:
        """Return all series of a split."""
        return self._read[1][split]

    def build_dataset(self, split: Split) -> SeriesDataset:
        """See `SequenceDataModule.build_dataset`; warn if what is evaluated occurs in training too."""
        if split != "train":
            training, rows = (self.series(name).values for name in ("train", split))
            warn_of_repeated_rows(as_bytes(training), as_bytes(rows), split, self.path, "series")
        return SeriesDataset(self.series(split), self.channels, self.seed, split, self.evaluation_samples)

    def reference_lines(self) -> dict[str, float]:
        """Return `chance`: the accuracy of always naming the most frequent class of the training split."""
        majority = np.bincount(self.series("train").classes).argmax()
        return {"chance": float((self.series("test").classes == majority).mean())}

    @cached_property
    def _read(self) -> tuple[list[str], dict[str, ClassifiedSeries]]:
        files = read_splits(self.path)
        names, classes = numbered({split: found.labels for split, found in files.items()}, self.path)
        longest = max(len(series) for found in files.values() for series in found.series)
        padded = {
            split: ClassifiedSeries(*pad(found.series, longest, self.time), classes[split])
            for split, found in files.items()
        }
        held = held_out_samples(classes["train"], self.held_out)
        if not held.any():
            raise ValueError(
                f"data.path is {self.path}, whose training file has one series of each class, which leaves none for "
                "validation; give more series."
            )
        train, val = (padded["train"].take(np.flatnonzero(chosen)) for chosen in (~held, held))
        return names, {"train": train, "val": val, "test": padded["test"]}


def pad(series: Sequence[Numbers], length: int, time: bool) -> tuple[Numbers, NDArray[np.int64]]:
    """Lay series into one array.

    Args:
        series: `[T_n, C]` each.
        length: T, the largest T_n at least.
        time: whether the number of each step is added as a last channel.

    Returns:
        float64 `[N, T, C]`, NaN after the end of a series, and the T_n, int64 `[N]`.
    """
    lengths = np.array([len(values) for values in series], np.int64)
    inside = np.arange(length) < lengths[:, None]
    rows = np.concatenate(series)
    if time:
        rows = np.column_stack([rows, inside.nonzero()[1]])
    padded = np.full((*inside.shape, rows.shape[1]), np.nan)
    padded[inside] = rows
    return padded, lengths


def held_out_samples(classes: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Say which samples are held out, `[N]`: a share of each class, at random, one at least but never all of them."""
    order = np.random.default_rng(EVALUATION_SEED)
    held = np.zeros(len(classes), np.bool_)
    for number in np.unique(classes):
        own = order.permutation(np.flatnonzero(classes == number))
        held[own[: min(max(1, round(len(own) * share)), len(own) - 1)]] = True
    return held


def as_bytes(values: Numbers) -> NDArray[np.uint8]:
    """The bytes of each sample, uint8 `[N, ...]`."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
