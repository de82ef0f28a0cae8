"""SequenceModel: what evaluation, generation and comparison ask of any model of sequences."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from memtrain.networks.heads import OutputHead

Stream = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""An input `[B, ...]` and the state before it, None at the start, to parameters `[B, P]` and the state after it."""


@runtime_checkable
class SequenceModel(Protocol):
    """A network that predicts `y_t` from `x_0 .. x_t`."""

    @property
    def head(self) -> OutputHead:
        """What its outputs mean, and how they are scored."""

    def outputs(self, inputs: Tensor, timesteps: Tensor) -> Tensor:
        """Parameters of `p(y_t | x_{<=t})`.

        Args:
            inputs: `[B, T, ...]`; tokens: int64 `[B, T]`.
            timesteps: the t wanted, int64 `[W]`.

        Returns:
            `[B, W, P]`.
        """

    def sequential_flops(self, length: int) -> int:
        """Longest chain of operations of a forward pass over `length` inputs, per sample."""


class Streaming(Protocol):
    """Anything that takes in one input after the other and says what it expects."""

    @property
    def head(self) -> OutputHead:
        """What its outputs mean, and how they are drawn from."""

    def prepared(self) -> Stream:
        """A stream for many inputs with the same weights."""


@runtime_checkable
class StreamingModel(SequenceModel, Streaming, Protocol):
    """A sequence model that can take in one input after the other."""
