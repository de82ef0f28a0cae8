"""Windows of the rows of several series: which there are in each split, and what they hold."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memtrain.data.blocks import Passes, Split
from memtrain.data.numbers import NumberDataset, NumberRows
from memtrain.data.sampler import ENDLESS

Positions = NDArray[np.int64]


class Windows(NamedTuple):
    """W windows of T timesteps each; rows past the end of a part count as missing.

    Attributes:
        starts: first row, int64 `[W]`.
        lows: first row that is a target.
        highs: row after the last one that is seen or is a target.
    """

    starts: Positions
    lows: Positions
    highs: Positions

    def take(self, chosen: Positions | NDArray[np.bool_]) -> "Windows":
        """Some of them."""
        return Windows(*(positions[chosen] for positions in self))

    def with_targets(self, there: NDArray[np.bool_]) -> "Windows":
        """Those in which there is a target; `there` says of which rows one is, bool `[N]`."""
        before = np.concatenate([[0], np.cumsum(there)])
        return self.take(before[self.highs] > before[self.lows])


def parts(starts: Positions, validation: float, test: float) -> dict[Split, tuple[Positions, Positions]]:
    """First row, and row after the last one, of each series' part of each split, int64 `[S]` each.

    Args:
        starts: first row of each series, and N, `[S + 1]`.
        validation: share of each series that is for validation, before the test part.
        test: share at its end that is for the test.
    """
    begin, end = starts[:-1], starts[1:]
    last = end - np.rint((end - begin) * test).astype(np.int64)
    middle = np.maximum(last - np.rint((end - begin) * validation).astype(np.int64), begin)
    return {"train": (begin, middle), "val": (middle, last), "test": (last, end)}


def training_windows(first: Positions, after: Positions, length: int, lead: int, stride: int) -> Windows:
    """Windows inside parts, each `stride` rows after the one before, the last one at the end of its part.

    A part too short for a window is one that is filled up at its end.

    Args:
        first: first row of each part.
        after: row after its last one.
        length: timesteps T.
        lead: rows from an input to the target of its timestep, 1 or 0.
        stride: rows from one window to the next.
    """
    spare = after - first - length - lead
    counts = np.where(spare >= 0, spare // stride + 1, (after - first > lead).astype(np.int64))
    starts = np.repeat(first + np.where(spare >= 0, spare % stride, 0), counts) + within(counts) * stride
    return Windows(starts, starts + lead, np.minimum(starts + length + lead, np.repeat(after, counts)))


def evaluation_windows(
    begin: Positions, first: Positions, after: Positions, length: int, lead: int, context: int
) -> Windows:
    """Windows by rolling origins: every row of a part is a target once, after some context, which may be of before.

    Args:
        begin: first row of each series.
        first: first row of its part.
        after: row after the part's last one.
        length: timesteps T.
        lead: see `training_windows`.
        context: timesteps of a window before its first target, as far as the series goes back.
    """
    hop = length - context
    counts = -((first - after) // hop)
    lows = np.repeat(first, counts) + within(counts) * hop
    starts = np.maximum(lows - context - lead, np.repeat(begin, counts))
    return Windows(starts, np.maximum(lows, starts + lead), np.minimum(lows + hop, np.repeat(after, counts)))


def within(counts: Positions) -> Positions:
    """0, 1, ... up to each count, one after the other: `[2, 3]` to `[0, 1, 0, 1, 2]`."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


class WindowedRows(NamedTuple):
    """What all windows are cut out of: N rows of all series, and one at the end that is missing altogether.

    Attributes:
        inputs: packed channels, float32 `[N + 1, 2 C]`.
        ahead: what is known of each row before it is observed, float32 `[N + 1, U]`; None where nothing is.
        targets: float32 `[N + 1, C']`.
        mask: bool `[N + 1, C']`.
        regime: int64 `[N + 1]`; None where the data have no regimes.
    """

    inputs: NDArray[np.float32]
    ahead: NDArray[np.float32] | None
    targets: NDArray[np.float32]
    mask: NDArray[np.bool_]
    regime: NDArray[np.int64] | None


class TableDataset(NumberDataset):
    """One split; training goes through all windows in one random order after another.

    Args:
        rows: what windows are cut out of.
        windows: of the split, at least one.
        length: timesteps T.
        lead: see `training_windows`.
        split: "train", "val" or "test".
        seed: the run's seed (training split only).
        samples: evaluation samples wanted, spread evenly over the windows; fewer if there are fewer.
    """

    def __init__(
        self, rows: WindowedRows, windows: Windows, length: int, lead: int, split: Split, seed: int, samples: int
    ) -> None:
        count = len(windows.starts)
        self.table, self.windows, self.length, self.lead = rows, windows, length, lead
        self.passes = Passes(split, seed, count)
        if split != "train" and samples < count:
            self.windows = windows.take(np.linspace(0, count - 1, samples).astype(np.int64))
        super().__init__(ENDLESS if split == "train" else len(self.windows.starts))

    def rows(self, indices: NDArray[np.int64]) -> NumberRows:
        """See `NumberDataset.rows`; an index operation."""
        table, nothing = self.table, len(self.table.inputs) - 1
        chosen = self.passes.rows(indices)
        starts, lows, highs = (positions[:, None] for positions in self.windows.take(chosen))
        at = starts + np.arange(self.length)
        inputs = np.where(at < highs, at, nothing)
        ahead = np.where(at + 1 < highs, at + 1, nothing)
        target = at + self.lead
        target = np.where((target >= lows) & (target < highs), target, nothing)
        return NumberRows(
            table.inputs[inputs],
            table.targets[target],
            table.mask[target],
            None if table.ahead is None else table.ahead[ahead],
            None if table.regime is None else table.regime[target],
        )
