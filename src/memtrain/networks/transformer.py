"""The Transformer blocks that the encoder, the decoder and the Transformer cell are built of.

Same mathematics as x-transformers 2.18.5 with `rotary_pos_emb` and `use_rmsnorm` (which the authors' code uses):
pre-norm blocks, RMSNorm with gain, queries, keys and values without bias, rotary positions on interleaved pairs,
GELU feed-forward four times as wide, one norm at the end.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memtrain.networks.memory import EPSILON

Outputs = slice | Tensor
"""Which tokens of the last block are wanted: a slice of positions, or indices `[..., P]` that broadcast."""

KeysValues = list[tuple[Tensor, Tensor]]
"""Keys and values of each block, `[B, S, H, d]`."""

FEW_TOKENS = 4
"""Up to so many tokens, elementwise attention is faster on a CPU than the fused kernel."""

MOST_SAMPLES = 65_535
"""Samples of one call of CUDA's fused attention, whose 16-bit kernel numbers them in a grid of this size."""


class Rotary(nn.Module):
    """Rotary position embedding on the first `rotated` of `head_dimension` features, as interleaved pairs.

    Args:
        head_dimension: features of one attention head; even.
        rotated: how many of them are rotated; even, at most `head_dimension`.
        base: the longest wavelength is about `2 * pi * base` positions.
    """

    frequencies: Tensor

    def __init__(self, head_dimension: int, rotated: int, base: float = 10_000.0) -> None:
        super().__init__()
        if head_dimension % 2:
            raise ValueError(f"head_dimension is {head_dimension}, but must be even; choose {head_dimension + 1}.")
        if rotated % 2 or not 0 <= rotated <= head_dimension:
            raise ValueError(
                f"rotary_dimensions is {rotated}, but must be even and at most head_dimension ({head_dimension}); "
                f"choose for example {head_dimension}."
            )
        frequencies = torch.zeros(head_dimension // 2)
        frequencies[: rotated // 2] = base ** (-torch.arange(0, rotated, 2) / rotated)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        """The rotations at `positions`, as complex numbers of absolute value 1.

        Args:
            positions: int64 `[..., S]`, the timestamps of the tokens.

        Returns:
            Complex `[..., S, 1, head_dimension / 2]`, one for each pair of features; 1 where features are not rotated.
        """
        angles = positions[..., None, None] * self.frequencies
        return torch.polar(torch.ones_like(angles), angles)


def rotate(heads: Tensor, rotary: Tensor) -> Tensor:
    """Rotate each pair of features of `heads` `[..., S, H, d]` by `rotary`, complex `[..., S, 1, d / 2]`."""
    # A complex product is one fused operation forward and one backward; the usual swap of pairs takes five.
    exact = heads.float() if heads.dtype in (torch.float16, torch.bfloat16) else heads
    pairs = torch.view_as_complex(exact.view(*heads.shape[:-1], -1, 2))
    rotated = torch.view_as_real(pairs * rotary).flatten(-2)
    return rotated if exact is heads else rotated.to(heads.dtype)


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
    if len(q) <= MOST_SAMPLES:
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


class Block(nn.Module):
    """One pre-norm Transformer block: attention, then a feed-forward four times as wide.

    Args:
        width: features of a token, D.
        heads: attention heads.
        head_dimension: features of a head.
    """

    def __init__(self, width: int, heads: int, head_dimension: int) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, eps=EPSILON)
        self.attention = Attention(width, heads, head_dimension)
        self.feed_forward_norm = nn.RMSNorm(width, eps=EPSILON)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, rotary: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """`[..., S, D]` to `[..., S, D]`; for `mask` and `causal` see `attention`."""
        q, k, v = self.project(x, rotary)
        return self.update(x, q, k, v, mask, causal)

    def project(self, x: Tensor, rotary: Tensor, outputs: Outputs | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of the tokens `x`; see `Attention.project`."""
        return self.attention.project(self.attention_norm(x), rotary, outputs)

    def update(
        self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """The rest of the block, for the tokens `x` `[..., P, D]` with queries `q`, given keys and values."""
        x = x + self.attention.attend(q, k, v, mask, causal)
        return x + self.feed_forward(self.feed_forward_norm(x))


class Transformer(nn.Module):
    """A stack of blocks with a final norm.

    Args:
        width: features of a token, D.
        layers: number of blocks, at least 1.
        heads: attention heads.
        head_dimension: features of a head (64 in x-transformers at any width).
        rotary_dimensions: rotated features of a head; None: half of them but at least 32 (x-transformers' rule),
            never more than there are.
    """

    def __init__(
        self, width: int, layers: int, heads: int, head_dimension: int, rotary_dimensions: int | None = None
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers is {layers}, but a Transformer needs at least 1; choose for example 2.")
        if rotary_dimensions is None:
            rotary_dimensions = min(head_dimension, max(head_dimension // 2, 32))
        self.rotary = Rotary(head_dimension, rotary_dimensions)
        blocks = nn.ModuleList(Block(width, heads, head_dimension) for _ in range(layers))
        self.blocks: Sequence[Block] = blocks  # type: ignore[assignment]  # torch does not say what a list holds
        self.norm = nn.RMSNorm(width, eps=EPSILON)

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        mask: Tensor | None = None,
        causal: bool = False,
        outputs: Outputs | None = None,
    ) -> Tensor:
        """Run the stack; the last block computes only what is asked for.

        Args:
            x: tokens `[..., S, D]`.
            positions: int64 `[..., S]`, their timestamps.
            mask: bool `[S, S]` or `[..., S, S]`, True where row attends to column; None: everything, or see `causal`.
            causal: each token attends to itself and earlier ones (instead of `mask`).
            outputs: the tokens whose outputs are wanted: a slice, or indices `[..., P]` broadcastable over batches.

        Returns:
            Normalised outputs `[..., P, D]`, P = S where `outputs` is None.
        """
        rotary = self.rotary(positions)
        for block in self.blocks[:-1]:
            x = block(x, rotary, mask, causal)
        last = self.blocks[-1]
        q, k, v = last.project(x, rotary, outputs)
        if outputs is not None:
            mask, causal = _rows(mask, causal, outputs, x.shape[-2], x.device), False
            x = select(x, outputs)
        return self.norm(last.update(x, q, k, v, mask, causal))

    def remember(self, x: Tensor, positions: Tensor, mask: Tensor | None = None) -> KeysValues:
        """What later tokens can attend to: the keys and values of each block, of causal tokens.

        Args:
            x: tokens `[B, S, D]`.
            positions: int64 `[S]`, their timestamps.
            mask: bool `[S, S]`, True where row attends to column, at most to itself and earlier ones; None: to all of
                these.

        Returns:
            For each block its keys and values, `[B, S, H, d]`.
        """
        rotary = self.rotary(positions)
        remembered: KeysValues = []
        for block in self.blocks[:-1]:
            q, k, v = block.project(x, rotary)
            remembered.append((k, v))
            x = block.update(x, q, k, v, mask, causal=mask is None)
        last = self.blocks[-1]
        remembered.append(last.attention.project_keys(last.attention_norm(x), rotary))
        return remembered

    def recall(self, x: Tensor, positions: Tensor, remembered: KeysValues, mask: Tensor | None = None) -> Tensor:
        """Run tokens that also attend to remembered ones; equals one pass over both in which none of the
        remembered tokens sees these.

        Args:
            x: tokens `[B, P, D]`.
            positions: int64 `[P]`, their timestamps.
            remembered: of `remember`, cut to the S tokens that any of these sees.
            mask: bool `[P, S + P]`, True where row attends to column; None: everywhere.

        Returns:
            Normalised outputs `[B, P, D]`.
        """
        rotary = self.rotary(positions)
        for block, (keys, values) in zip(self.blocks, remembered, strict=True):
            q, k, v = block.project(x, rotary)
            x = block.update(x, q, torch.cat([keys, k], dim=-3), torch.cat([values, v], dim=-3), mask)
        return self.norm(x)


def select(x: Tensor, outputs: Outputs) -> Tensor:
    """The tokens of `x` `[..., S, D]` at `outputs`: `[..., P, D]`."""
    if isinstance(outputs, slice):
        return x[..., outputs, :]
    dimensions = max(x.dim(), outputs.dim() + 1)
    index = outputs.unsqueeze(-1)
    index, x = (part[(None,) * (dimensions - part.dim())] for part in (index, x))
    return torch.take_along_dim(x, index, dim=-2)


def _rows(mask: Tensor | None, causal: bool, outputs: Outputs, size: int, device: torch.device) -> Tensor | None:
    """The rows of the attention mask that belong to the wanted tokens: `[..., P, S]`, None if all is allowed."""
    if causal:
        columns = torch.arange(size, device=device)
        rows = columns[outputs] if isinstance(outputs, slice) else outputs
        return columns <= rows.unsqueeze(-1)
    return None if mask is None else select(mask, outputs)
