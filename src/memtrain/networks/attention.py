"""Multi-head attention: the fused kernel, elementwise products for few tokens, and the layer around them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memtrain.networks.rotary import rotate

Outputs = slice | Tensor
"""Which tokens of a block are wanted: a slice of positions, or indices `[..., P]` that broadcast."""

FEW_TOKENS = 4
"""Up to so many tokens, elementwise attention is faster on a CPU than the fused kernel."""

MOST_SAMPLES = 65_535
"""Samples of one call of CUDA's fused attention, whose 16-bit kernel numbers them in a grid of this size."""


class Attention(nn.Module):
    """Multi-head attention with rotary positions, no bias.

    Args:
        width: features of a token, D.
        heads: number of heads, H.
        head_dimension: features of a head, d; `H * d` need not equal D.
    """

    def __init__(self, width: int, heads: int, head_dimension: int) -> None:
        super().__init__()
        self.heads, self.inner = heads, heads * head_dimension
        self.qkv = nn.Linear(width, 3 * self.inner, bias=False)
        self.out = nn.Linear(self.inner, width, bias=False)

    def project(self, x: Tensor, rotary: Tensor, outputs: Outputs | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of the tokens at `outputs`, keys and values of all tokens; queries and keys rotated.

        Args:
            x: tokens `[..., S, D]`.
            rotary: their rotations, complex `[..., S, 1, d / 2]`.
            outputs: the tokens that attend; None: all.

        Returns:
            `[..., P, H, d]`, `[..., S, H, d]` and `[..., S, H, d]`.
        """
        # Three products, not one and a split of its outputs, whose backward would copy all gradients together.
        of_queries, of_keys, of_values = self.qkv.weight.split(self.inner)
        k, v = rotate(self._heads(x, of_keys), rotary), self._heads(x, of_values)
        if outputs is not None:
            x, rotary = select(x, outputs), select(rotary.flatten(-2), outputs).unsqueeze(-2)
        return rotate(self._heads(x, of_queries), rotary), k, v

    def project_keys(self, x: Tensor, rotary: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values alone."""
        _, of_keys, of_values = self.qkv.weight.split(self.inner)
        return rotate(self._heads(x, of_keys), rotary), self._heads(x, of_values)

    def _heads(self, x: Tensor, weight: Tensor) -> Tensor:
        """`[..., S, D]` to `[..., S, H, d]`."""
        return F.linear(x, weight).view(*x.shape[:-1], self.heads, -1)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """See `attention`; the heads joined again: `[..., P, D]`."""
        return self.out(attention(q, k, v, mask, causal))


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """`softmax(q k^T / sqrt(d)) v` of each head.

    Args:
        q: queries `[..., P, H, d]`.
        k: keys `[..., S, H, d]`.
        v: values `[..., S, H, d]`.
        mask: bool, broadcastable to `[..., P, S]`; True where attention is allowed; None: everywhere.
        causal: each token attends to itself and earlier ones; then `mask` must be None, and P = S.

    Returns:
        `[..., P, H * d]`.
    """
    if q.device.type == "cpu" and k.shape[-3] <= FEW_TOKENS and mask is None and not causal:
        return attend_few(q, k, v).flatten(-2)
    if q.dim() > 4:
        batch = q.shape[:-3]
        if mask is not None and mask.dim() > 2:
            mask = mask.expand(*batch, *mask.shape[-2:]).flatten(0, -3)
        q, k, v = (part.flatten(0, -4) for part in (q, k, v))
        return attention(q, k, v, mask, causal).unflatten(0, batch)
    if mask is not None and mask.dim() > 2:
        mask = mask.unsqueeze(1)  # the same for all heads
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # [B, H, S, d]
    return attend_many(q, k, v, mask, causal).transpose(1, 2).flatten(2)


def attend_many(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """The fused kernel, in parts where there are more samples than its 16-bit version for GPUs takes at once.

    Args:
        q: queries `[B, H, P, d]`.
        k: keys `[B, H, S, d]`.
        v: values `[B, H, S, d]`.
        mask: see `attention`; `[P, S]` or `[B or 1, 1, P, S]`.
        causal: see `attention`.

    Returns:
        `[B, H, P, d]`.
    """
    if q.shape[0] <= MOST_SAMPLES:  # len() would fix the batch size of an exported program
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    cut = (q.split(MOST_SAMPLES), k.split(MOST_SAMPLES), v.split(MOST_SAMPLES))
    masks = [mask] * len(cut[0]) if mask is None or mask.dim() == 2 or len(mask) == 1 else mask.split(MOST_SAMPLES)
    parts = zip(*cut, masks, strict=True)
    return torch.cat([F.scaled_dot_product_attention(*part[:3], attn_mask=part[3], is_causal=causal) for part in parts])


def attend_few(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`softmax(q k^T / sqrt(d)) v` by elementwise products, for the few tokens that a cell attends to.

    On a CPU the fused kernel's cost is then one call per head and sample, not arithmetic.

    Args:
        q: queries `[..., P, H, d]`.
        k: keys `[..., S, H, d]`.
        v: values `[..., S, H, d]`.

    Returns:
        `[..., P, H, d]`.
    """
    scores = (q.unsqueeze(-3) * k.unsqueeze(-4)).sum(-1) * q.shape[-1] ** -0.5
    return (scores.softmax(-2).unsqueeze(-1) * v.unsqueeze(-4)).sum(-3)


def select(x: Tensor, outputs: Outputs) -> Tensor:
    """The tokens of `x` `[..., S, D]` at `outputs`: `[..., P, D]`."""
    if isinstance(outputs, slice):
        return x[..., outputs, :]
    dimensions = max(x.dim(), outputs.dim() + 1)
    index = outputs.unsqueeze(-1)
    index, x = (part[(None,) * (dimensions - part.dim())] for part in (index, x))
    return torch.take_along_dim(x, index, dim=-2)
