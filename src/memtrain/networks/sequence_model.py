"""SequenceModel: what evaluation, generation and comparison ask of any model of sequences."""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from memtrain.networks.heads import OutputHead


class Stream(Protocol):
    """Takes in one input after the other."""

    def __call__(self, inputs: Tensor, state: Any, ahead: Tensor | None = None, /) -> tuple[Tensor, Any]:
        """Take in one input.

        Args:
            inputs: `x_t`, `[B, ...]`.
            state: what is known of the inputs before; None at the start.
            ahead: `u_{t+1}`, `[B, U]`, where the data have any.

        Returns:
            Parameters of `y_t`, `[B, P]`, and the state after the input.
        """


@runtime_checkable
class SequenceModel(Protocol):
    """A network that predicts `y_t` from `x_0 .. x_t`, and from `u_{t+1}` where the data know any."""

    @property
    def head(self) -> OutputHead:
        """What its outputs mean, and how they are scored."""

    def outputs(self, inputs: Tensor, timesteps: Tensor, ahead: Tensor | None = None) -> Tensor:
        """Parameters of `p(y_t | x_{<=t}, u_{t+1})`.

        Args:
            inputs: `[B, T, ...]`; tokens: int64 `[B, T]`.
            timesteps: the t wanted, int64 `[W]`.
            ahead: `u_{t+1}` of these, `[B, W, U]`, where the data have any.

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
