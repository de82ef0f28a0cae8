"""SequenceBatch: the one thing that every data module yields and every LightningModule eats."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

IGNORE_INDEX = -100
"""Target by which a data module of tokens may say "no target here"; batches have a mask instead."""


class SequenceBatch(NamedTuple):
    """A batch of sequences (method: inputs `x_0..x_{T-1}`, targets `y_0..y_{T-1}`).

    Attributes:
        inputs: the `x_t`, `[B, T, ...]`; tokens: int64 `[B, T]`; channels: float32 `[B, T, P]` (`Channels.pack`).
        targets: what `p(y_t | x_{<=t}, u_{t+1})` predicts: one of several classes, int64 `[B, T]`, or C numbers,
            float32 `[B, T, C]`; any valid target where `mask` is False.
        mask: bool, the shape of `targets`, True where there is a target.
        index: int64 `[B]`, the position of each sample in its split, to trace any loss back to its data.
        ahead: `u_{t+1}`, what is known of the next step before it is observed, float32 `[B, T, U]`
            (`Channels.pack_ahead`); None where nothing is.
        regime: which of the data's named regimes each target lies in, int64 `[B, T]`, 0 for none; None where the data
            have no regimes.
    """

    inputs: Tensor
    targets: Tensor
    mask: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which no one asks a batch for
    ahead: Tensor | None = None
    regime: Tensor | None = None

    @classmethod
    def of(cls, inputs: Tensor, targets: Tensor, index: Tensor) -> "SequenceBatch":
        """A batch of tokens whose targets are `IGNORE_INDEX` where there is none."""
        mask = targets != IGNORE_INDEX
        return cls(inputs, targets.clamp(min=0), mask, index)  # all others are classes, 0 or more

    def map(self, function: Callable[[Tensor], Tensor]) -> "SequenceBatch":
        """The batch with a function applied to each of its tensors."""
        return SequenceBatch(*(None if tensor is None else function(tensor) for tensor in self))  # type: ignore[arg-type]

    def split(self, size: int) -> list["SequenceBatch"]:
        """Parts of `size` samples each, in order."""
        starts = range(0, len(self.index), size)
        return [self.map(lambda tensor, i=start: tensor[i : i + size]) for start in starts]  # type: ignore[misc]

    def take(self, samples: Tensor) -> "SequenceBatch":
        """Some of the samples, by a bool `[B]` or their int64 positions."""
        return self.map(lambda tensor: tensor[samples])

    def at(self, timesteps: Tensor) -> "Targets":
        """The targets at some timesteps, int64 `[W]`."""
        ahead, regime = (None if part is None else part[:, timesteps] for part in (self.ahead, self.regime))
        return Targets(self.targets[:, timesteps], self.mask[:, timesteps], ahead, regime)


class Targets(NamedTuple):
    """The targets of a batch at some timesteps.

    Attributes:
        values: `[B, W]` or `[B, W, C]`.
        mask: bool, the same shape.
        ahead: `u_{t+1}` of each, `[B, W, U]`; None where nothing is known ahead.
        regime: int64 `[B, W]`, or None.
    """

    values: Tensor
    mask: Tensor
    ahead: Tensor | None = None
    regime: Tensor | None = None
