"""A Transformer stack prepared for many small calls with the same weights, as rollouts and generation make them.

It computes the same as `Transformer.forward`, with less around each call: rotations are made once, the gains of norms
are folded into the matrices behind them, and under autocast weights are cast once.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memtrain.networks.attention import attention
from memtrain.networks.memory import EPSILON
from memtrain.networks.rotary import rotate
from memtrain.networks.transformer import Block, Transformer


class PreparedTransformer:
    """`Transformer.forward` for one shape of input, while the weights stay what they are.

    Args:
        transformer: the stack.
        positions: int64 `[S]`, the timestamps of the tokens.
        outputs: the tokens whose outputs are wanted, P of them.
        causal: each token attends to itself and earlier ones; then only the last token's output can be wanted.
    """

    def __init__(self, transformer: Transformer, positions: Tensor, outputs: slice, causal: bool = False) -> None:
        turns = transformer.rotary(positions)
        self.rotary = torch.stack([turns, turns, torch.ones_like(turns)], dim=-3)  # queries, keys; values stay
        self.blocks = [_PreparedBlock(block) for block in transformer.blocks]
        self.unit = _Unit(transformer.norm.weight)
        self.gain = transformer.norm.weight * math.sqrt(len(transformer.norm.weight))
        self.outputs, self.causal = outputs, causal

    def __call__(self, x: Tensor) -> Tensor:
        """Tokens `[B, S, D]` to normalized outputs `[B, P, D]`."""
        for block in self.blocks[:-1]:
            q, k, v = block.project(x, self.rotary)
            x = block.update(x, attention(q, k, v, causal=self.causal))
        q, k, v = self.blocks[-1].project(x, self.rotary)
        # Causal or not: the last token sees all.
        x = self.blocks[-1].update(x[:, self.outputs], attention(q[:, self.outputs], k, v))
        return self.unit(x) * self.gain


class _PreparedBlock:
    """`Block` as four linear maps, two of them of tokens of unit length."""

    def __init__(self, block: Block) -> None:
        self.heads, self.unit = block.attention.heads, _Unit(block.attention_norm.weight)
        up, down = cast(nn.Linear, block.feed_forward[0]), cast(nn.Linear, block.feed_forward[2])
        self.qkv = _cast(_fold(block.attention_norm.weight, block.attention.qkv.weight))
        self.out = _cast(block.attention.out.weight)
        self.up, self.up_bias = _cast(_fold(block.feed_forward_norm.weight, up.weight)), _cast(up.bias)
        self.down, self.down_bias = _cast(down.weight), _cast(down.bias)

    def project(self, x: Tensor, rotary: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of tokens `[B, S, D]`: `[B, S, H, d]` each."""
        qkv = F.linear(self.unit(x), self.qkv)
        return rotate(qkv.view(*qkv.shape[:-1], 3, self.heads, -1), rotary).unbind(-3)

    def update(self, x: Tensor, attended: Tensor) -> Tensor:
        """The rest of the block, given what tokens `[B, P, D]` have attended to, `[B, P, H * d]`."""
        x = x + F.linear(attended, self.out)
        return x + F.linear(F.gelu(F.linear(self.unit(x), self.up, self.up_bias)), self.down, self.down_bias)


class _Unit:
    """Scales tokens to unit length, as an RMS norm scales them to unit mean square."""

    def __init__(self, gain: Tensor) -> None:
        self.least = gain.new_tensor(math.sqrt(EPSILON * len(gain)))

    def __call__(self, x: Tensor) -> Tensor:
        """`[B, S, D]` to `[B, S, D]`."""
        return x / torch.hypot(torch.linalg.vector_norm(x, dim=-1, keepdim=True), self.least)


def _fold(gain: Tensor, weight: Tensor) -> Tensor:
    """The weight that, behind tokens of unit length, equals `weight` behind an RMS norm of this gain."""
    return weight * (gain * math.sqrt(len(gain)))


def _cast(weight: Tensor) -> Tensor:
    """The weight in autocast's type, where that is on: cast here, once, not in every call."""
    device = weight.device.type
    return weight.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else weight
