"""Cell: what every recurrent update has in common, and what a user's own cell must provide."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from memtrain.networks.memory import MemoryNormalization

Update = Callable[[Tensor, Tensor], Tensor]
"""A memory `[B, K, D]` and an embedded input `[B, D]` to the next memory."""


class Cell(nn.Module, ABC):
    """A one-step memory update `m_{t+1} = f(m_t, x_{t+1})` (Kumar & Isola, arXiv 2606.06479).

    A subclass takes these three sizes first, then options of its own with defaults, and defines `step`.

    Args:
        width: features of a memory token and of the token embedding, D.
        memory_tokens: tokens of a memory, K.
        memory_normalization: `rms` or `tanh`: the space that the teacher's memories live in. `step` must return
            memories of that space: end it in `memtrain.networks.memory.normalize_memory`, unless it stays in
            (-1, 1) by itself.

    Attributes:
        gated: whether `step` stays where gates keep it, and ends in no normalisation.
    """

    gated: ClassVar[bool] = False

    def __init__(self, width: int, memory_tokens: int, memory_normalization: MemoryNormalization) -> None:
        super().__init__()
        self.width, self.memory_tokens = width, memory_tokens
        self.memory_normalization = memory_normalization

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """An `elementary_step` is another form of the `step` beside it, and not inherited by a class with its own."""
        super().__init_subclass__(**kwargs)
        if {"step", "rollout"} & vars(cls).keys() and "elementary_step" not in vars(cls):
            cls.elementary_step = Cell.elementary_step  # type: ignore[method-assign]

    @abstractmethod
    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        """One update.

        Args:
            memory: `m_t`, `[B, K, D]`.
            embedding: the embedded input `x_{t+1}`, `[B, D]`.

        Returns:
            `m_{t+1}`, `[B, K, D]`.
        """

    def elementary_step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        """`step` in operations that have forward-mode derivatives, as the Jacobians of `newton` and `scan` need.

        Override it where `step` calls a fused kernel, as `torch.nn.GRUCell` does: CUDA's have none.
        """
        return self.step(memory, embedding)

    def prepared(self) -> Update:
        """`step` for many calls with the same weights; override it to do once what each would repeat."""
        return self.step

    def input_parameters(self) -> list[Tensor]:
        """Parameters that meet the input alone, so that one product could serve all timesteps at once; none here."""
        return []

    def rollout(self, memory: Tensor, embeddings: Tensor) -> Tensor:
        """T updates in a row; override it where a fused kernel computes the same.

        Args:
            memory: the memory to start from, `[B, K, D]`.
            embeddings: embedded inputs, `[B, T, D]`.

        Returns:
            The memories after each of them, `[B, T, K, D]`.
        """
        return unroll(self.prepared(), memory, embeddings)


def unroll(update: Update, memory: Tensor, inputs: Tensor) -> Tensor:
    """Update a memory `[B, K, D]` with one of the `inputs` `[B, T, ...]` after the other: `[B, T, K, D]`."""
    states = []
    # unbind, not indexing: the backward of indexing writes a whole [B, T, D] gradient at every step.
    for x in inputs.unbind(1):
        memory = update(memory, x)
        states.append(memory)
    return torch.stack(states, dim=1)


def halved(cell: str, size: int) -> int:
    """Half of a memory's `size` numbers, for cells whose memory is [c | h].

    Raises:
        ValueError: for an odd size.
    """
    if size % 2:
        raise ValueError(
            f"network.width * network.memory_tokens is {size}, but {cell} needs an even number (half for c, half for "
            "h); choose an even width."
        )
    return size // 2


def refuse_rms(cell: str, memory_normalization: MemoryNormalization, accept_rms: bool) -> None:
    """Refuse a gated cell where memories are RMS-normalised.

    Raises:
        ValueError: a gated state h lies in [-1, 1], so it reaches no RMS-1 memory but sign vectors.
    """
    if memory_normalization != "tanh" and not accept_rms:
        raise ValueError(
            f"network.memory_normalization is {memory_normalization}, but the gated states h of {cell} lie in "
            "[-1, 1] and cannot reach such memories; set it to tanh."
        )
