"""What data sets of numbers share: rows of channels with targets, masks, and what is known ahead."""

from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtrain.batch import SequenceBatch
from memtrain.data.base import SequenceDataModule, SequenceDataset
from memtrain.data.blocks import Split
from memtrain.networks.channels import Channels


class NumberRows(NamedTuple):
    """Samples of a data set of numbers, as `SequenceBatch` has them.

    Attributes:
        inputs: packed channels, float32 `[B, T, 2 C]`; see `Channels.pack`.
        targets: float32 `[B, T, C]`, or classes, int64 `[B, T]`; any valid target where `mask` is False.
        mask: bool, the shape of `targets`.
        ahead: `u_{t+1}`, float32 `[B, T, U]`; None where nothing is known ahead.
        regime: int64 `[B, T]`, 0 for none; None where the data have no regimes.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[np.float32] | NDArray[np.int64]
    mask: NDArray[np.bool_]
    ahead: NDArray[np.float32] | None = None
    regime: NDArray[np.int64] | None = None


class NumberDataset(SequenceDataset):
    """One split of rows of numbers."""

    @abstractmethod
    def rows(self, indices: NDArray[np.int64]) -> NumberRows:
        """Return the samples at `indices` `[B]`."""

    def batch(self, indices: NDArray[np.int64]) -> SequenceBatch:
        """See `SequenceDataset.batch`."""
        rows = self.rows(indices)
        inputs, targets, mask = map(tensor, rows[:3])
        ahead, regime = (None if part is None else tensor(part) for part in rows[3:])
        return SequenceBatch(inputs, targets, mask, tensor(indices), ahead, regime)


def tensor(array: NDArray[Any]) -> Tensor:
    """The array as a tensor, without a copy where that can be."""
    return torch.from_numpy(np.ascontiguousarray(array))


class NumberDataModule(SequenceDataModule):
    """Base of data sets of numbers.

    Args:
        **options: see `SequenceDataModule`.
    """

    def check(self, split: Split, dataset: SequenceDataset, indices: NDArray[np.int64]) -> None:
        """See `SequenceDataModule.check`."""
        assert isinstance(dataset, NumberDataset)
        inputs = self.interface().inputs
        assert isinstance(inputs, Channels)
        place = f"{type(self).__name__}, split {split},"
        check_numbers(place, dataset.rows(indices), (len(indices), self.sequence_length), inputs)


def check_numbers(place: str, rows: NumberRows, shape: tuple[int, int], channels: Channels) -> None:
    """Refuse rows of numbers that are not what every stage takes for granted.

    Args:
        place: the data set and its split, as the end of "The inputs of ...".
        rows: the first ones.
        shape: B and T.
        channels: what the data say of their inputs.

    Raises:
        ValueError: naming the data set and what is wrong.
    """
    last = {"inputs": (2 * len(channels.channels),), "ahead": (channels.known_ahead,), "regime": ()}
    for name, wanted in last.items():
        values = getattr(rows, name)
        if values is not None and values.shape != (*shape, *wanted):
            raise ValueError(f"The {name} of {place} have shape {values.shape}, but must have {(*shape, *wanted)}.")
    if rows.targets.shape[:2] != shape or rows.mask.shape != rows.targets.shape:
        raise ValueError(
            f"The targets of {place} have shape {rows.targets.shape} and their mask {rows.mask.shape}, but both must "
            f"begin with {shape} and be equal."
        )
    if (rows.ahead is None) != (channels.known_ahead == 0):
        raise ValueError(f"The rows of {place} must have ahead if, and only if, a channel is known or an action.")
    for name in ("inputs", "targets", "ahead"):
        values = getattr(rows, name)
        if values is not None and not np.isfinite(values).all():
            raise ValueError(
                f"The {name} of {place} hold values that are not finite; mark missing ones as such, and scale the rest."
            )
