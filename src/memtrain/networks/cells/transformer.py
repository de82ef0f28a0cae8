"""The Transformer cell: blocks over the memory tokens and the new input (paper; the authors' code)."""

from functools import partial

import torch
from torch import Tensor

from memtrain.networks.cells.base import Cell
from memtrain.networks.cells.jacobian import Update
from memtrain.networks.compiled import Compiled
from memtrain.networks.memory import MemoryNormalization
from memtrain.networks.prepared import PreparedTransformer
from memtrain.networks.transformer import Transformer


class TransformerCell(Cell):
    """Transformer blocks over `[K memory tokens; x]`; the outputs at the memory positions are the next memory.

    Args:
        width: features of a token, D.
        memory_tokens: tokens of a memory, K.
        memory_normalization: rms or tanh, applied to the outputs.
        layers: number of blocks.
        heads: attention heads.
        head_dimension: features of a head; 64 in the authors' code at any width.
        compile: run rollouts with gradient through torch.compile, which needs a C++ compiler on a CPU. It takes half a
            minute before the first step, so it pays in stages of many steps.
    """

    positions: Tensor

    def __init__(
        self,
        width: int,
        memory_tokens: int,
        memory_normalization: MemoryNormalization,
        layers: int = 2,
        heads: int = 4,
        head_dimension: int = 16,
        compile: bool = False,
    ) -> None:
        super().__init__(width, memory_tokens, memory_normalization)
        self.transformer = Transformer(width, layers, heads, head_dimension)
        self.register_buffer("positions", torch.arange(memory_tokens + 1), persistent=False)
        self.compiled = Compiled(PreparedTransformer.__call__) if compile else None

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        """See `Cell.step`."""
        outputs = self.transformer(_tokens(memory, embedding), self.positions, outputs=slice(0, self.memory_tokens))
        return self.memory.normalize(outputs)

    def prepared(self) -> Update:
        """See `Cell.prepared`."""
        wanted = slice(0, self.memory_tokens)
        stack = PreparedTransformer(self.transformer, self.positions, wanted)
        # Without gradient, as in evaluation, batches have other shapes, for which it would compile anew.
        compiled = self.compiled if torch.is_grad_enabled() else None
        run = stack if compiled is None else partial(compiled, stack)
        return lambda memory, embedding: self.memory.normalize(run(_tokens(memory, embedding)))


def _tokens(memory: Tensor, embedding: Tensor) -> Tensor:
    """The memory tokens, then the input: `[B, K, D]` and `[B, D]` to `[B, K + 1, D]`."""
    return torch.cat([memory, embedding.unsqueeze(1).to(memory.dtype)], dim=1)
