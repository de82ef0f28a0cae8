"""SequenceBatch: the one thing that every data module yields and every LightningModule eats."""

from typing import NamedTuple

from torch import Tensor

IGNORE_INDEX = -100
"""Target by which a data module of tokens may say "no target here"; batches have a mask instead."""


class SequenceBatch(NamedTuple):
    """A batch of sequences (method: inputs `x_0..x_{T-1}`, targets `y_0..y_{T-1}`).

    Attributes:
        inputs: the `x_t`, `[B, T, ...]`; tokens: int64 `[B, T]` in `0..V-1`.
        targets: what `p(y_t | x_{<=t})` predicts, `[B, T]`; any valid target where `mask` is False.
        mask: bool `[B, T]`, True where there is a target.
        index: int64 `[B]`, the position of each sample in its split, to trace any loss back to its data.
    """

    inputs: Tensor
    targets: Tensor
    mask: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which no one asks a batch for

    @classmethod
    def of(cls, inputs: Tensor, targets: Tensor, index: Tensor) -> "SequenceBatch":
        """A batch of tokens whose targets are `IGNORE_INDEX` where there is none."""
        mask = targets != IGNORE_INDEX
        return cls(inputs, targets.clamp(min=0), mask, index)  # all others are classes, 0 or more

    def split(self, size: int) -> list["SequenceBatch"]:
        """Parts of `size` samples each, in order."""
        return [SequenceBatch(*parts) for parts in zip(*(tensor.split(size) for tensor in self), strict=True)]

    def take(self, samples: Tensor) -> "SequenceBatch":
        """Some of the samples, by a bool `[B]` or their int64 positions."""
        return SequenceBatch(*(tensor[samples] for tensor in self))
