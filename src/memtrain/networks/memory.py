"""Memory normalisation and the learned tokens that memories start from."""

from typing import Literal

import torch
from torch import Tensor, nn

MemoryNormalization = Literal["rms", "tanh"]

EPSILON = 1e-12
"""What every RMS norm adds to a mean square."""


def normalize_memory(memory: Tensor, kind: MemoryNormalization) -> Tensor:
    """Normalise memory tokens, in float32 or better.

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

    Tokens that all start at zero are identical to each other, which handicaps a Transformer cell; zeros are what
    the paper uses and are an option, not learned.

    Args:
        memory_tokens: K.
        width: D.
        normalization: the memory normalisation, applied to the learned tokens.
        learned: False for zeros.
    """

    def __init__(self, memory_tokens: int, width: int, normalization: MemoryNormalization, learned: bool) -> None:
        super().__init__()
        self.normalization = normalization
        self.shape = (memory_tokens, width)
        self.tokens = nn.Parameter(torch.randn(memory_tokens, width)) if learned else None

    def forward(self, batch: int, like: Tensor) -> Tensor:
        """`m_init` for each of `batch` samples: `[B, K, D]`, on the device and of the type of `like`."""
        if self.tokens is None:
            return like.new_zeros(batch, *self.shape)
        return normalize_memory(self.tokens, self.normalization).expand(batch, *self.shape)
