"""What a memory is: its sizes, its normalization, and the learned tokens that memories start from."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

MemoryNormalization = Literal["rms", "tanh"]

EPSILON = 1e-12
"""What every RMS norm adds to a mean square."""


@dataclass(frozen=True)
class MemorySpec:
    """The space that memories live in.

    Attributes:
        width: features of a memory token, D.
        tokens: tokens of a memory, K.
        normalization: `rms` or `tanh`, see `normalize_memory`.
    """

    width: int
    tokens: int
    normalization: MemoryNormalization

    @property
    def size(self) -> int:
        """Numbers of a memory, `Z = K * D`."""
        return self.tokens * self.width

    def normalize(self, memory: Tensor) -> Tensor:
        """Memory tokens `[..., K, D]` in this space; see `normalize_memory`."""
        return normalize_memory(memory, self.normalization)


def normalize_memory(memory: Tensor, kind: MemoryNormalization) -> Tensor:
    """Normalize memory tokens, in float32 or better.

    Args:
        memory: `[..., K, D]`, any floating type; float16 and bfloat16 are raised to float32.
        kind: `rms` scales each token to root mean square 1, without gain; `tanh` squashes each entry into (-1, 1).

    Returns:
        `[..., K, D]`.
    """
    with torch.autocast(memory.device.type, enabled=False):
        if memory.dtype in (torch.float16, torch.bfloat16):
            memory = memory.float()
        if kind == "tanh":
            return memory.tanh()
        return nn.functional.rms_norm(memory, memory.shape[-1:], eps=EPSILON)


class InitialMemory(nn.Module):
    """`m_init`: K *distinct* learned tokens, drawn normal at unit root mean square, or fixed zeros.

    Zeros are what the paper uses, and are not learned. They make all tokens identical, which handicaps a Transformer
    cell.

    Args:
        memory: sizes and normalization.
        learned: False for zeros.
    """

    def __init__(self, memory: MemorySpec, learned: bool) -> None:
        super().__init__()
        self.memory = memory
        self.tokens = nn.Parameter(torch.randn(memory.tokens, memory.width)) if learned else None

    def forward(self, batch: int, like: Tensor) -> Tensor:
        """`m_init` for each of `batch` samples: `[B, K, D]`, on the device and of the type of `like`."""
        shape = (batch, self.memory.tokens, self.memory.width)
        return like.new_zeros(shape) if self.tokens is None else self.memory.normalize(self.tokens).expand(shape)
