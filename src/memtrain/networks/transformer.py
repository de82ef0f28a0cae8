"""The Transformer blocks that the encoder, the decoder and the Transformer cell are built of.

Same mathematics as x-transformers 2.18.5 with `rotary_pos_emb` and `use_rmsnorm` (which the authors' code uses):
pre-norm blocks, RMSNorm with gain, queries, keys and values without bias, rotary positions on interleaved pairs,
GELU feed-forward four times as wide, one norm at the end.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from memtrain.networks.attention import Attention, Outputs, select
from memtrain.networks.memory import EPSILON
from memtrain.networks.rotary import Rotary

KeysValues = list[tuple[Tensor, Tensor]]
"""Keys and values of each block, `[B, S, H, d]`."""


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
            Normalized outputs `[..., P, D]`, P = S where `outputs` is None.
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
        """Run tokens that also attend to remembered ones.

        It equals one pass over both, in which no remembered token sees these.

        Args:
            x: tokens `[B, P, D]`.
            positions: int64 `[P]`, their timestamps.
            remembered: of `remember`, cut to the S tokens that any of these sees.
            mask: bool `[P, S + P]`, True where row attends to column; None: everywhere.

        Returns:
            Normalized outputs `[B, P, D]`.
        """
        rotary = self.rotary(positions)
        for block, (keys, values) in zip(self.blocks, remembered, strict=True):
            q, k, v = block.project(x, rotary)
            x = block.update(x, q, torch.cat([keys, k], dim=-3), torch.cat([values, v], dim=-3), mask)
        return self.norm(x)


def _rows(mask: Tensor | None, causal: bool, outputs: Outputs, size: int, device: torch.device) -> Tensor | None:
    """The rows of the attention mask that belong to the wanted tokens: `[..., P, S]`, None if all is allowed."""
    if causal:
        columns = torch.arange(size, device=device)
        rows = columns[outputs] if isinstance(outputs, slice) else outputs
        return columns <= rows.unsqueeze(-1)
    return None if mask is None else select(mask, outputs)
