"""SequenceBatch: the one thing that every data module yields and every LightningModule eats."""

from typing import NamedTuple

from torch import Tensor

IGNORE_INDEX = -100
"""Target value that means "no target here" (the ignore index of `torch.nn.functional.cross_entropy`)."""


class SequenceBatch(NamedTuple):
    """A batch of token sequences (method: inputs `x_0..x_{T-1}`, targets `y_0..y_{T-1}`).

    Attributes:
        inputs: int64 `[B, T]`, the tokens `x_t` in `0..V-1`.
        targets: int64 `[B, T]`, what `p(y_t | x_{<=t})` predicts; `IGNORE_INDEX` where there is no target.
        index: int64 `[B]`, the position of each sample in its split, to trace any loss back to its data.
    """

    inputs: Tensor
    targets: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which no one asks a batch for
