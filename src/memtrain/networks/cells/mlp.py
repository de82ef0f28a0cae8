"""The MLP cell: a residual multi-layer perceptron over the whole memory (paper; its sizes unknown, ours stated)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from memtrain.networks.cells.base import Cell
from memtrain.networks.memory import MemoryNormalization


class MLPCell(Cell):
    """`m_{t+1} = normalize(m_t + MLP([m_t; x_{t+1}]))`, with GELU between the layers.

    Args:
        width: features of a memory token and of the embedding, D.
        memory_tokens: tokens of a memory, K.
        memory_normalization: rms or tanh, applied to the outputs.
        layers: hidden layers.
        hidden: features of a hidden layer; null: twice the memory's `K * D`.
    """

    def __init__(
        self,
        width: int,
        memory_tokens: int,
        memory_normalization: MemoryNormalization,
        layers: int = 2,
        hidden: int | None = None,
    ) -> None:
        super().__init__(width, memory_tokens, memory_normalization)
        if layers < 1:
            raise ValueError(f"layers is {layers}, but an MLPCell needs at least 1 hidden layer; choose for example 2.")
        size = self.memory.size
        hidden = hidden or 2 * size
        sizes = [size + width, *[hidden] * layers]
        modules = [m for i, o in pairwise(sizes) for m in (nn.Linear(i, o), nn.GELU())]
        self.network = nn.Sequential(*modules, nn.Linear(hidden, size))

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        """See `Cell.step`."""
        change = self.network(torch.cat([memory.flatten(1), embedding.to(memory.dtype)], dim=1))
        return self.memory.normalize(memory + change.view_as(memory))
