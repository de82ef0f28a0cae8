"""The teacher: an encoder that says what the memory of a past should be, and a decoder that makes it predictive."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memtrain.networks.flops import forward_flops
from memtrain.networks.heads import OutputHead
from memtrain.networks.interface import Interface
from memtrain.networks.memory import normalize_memory
from memtrain.networks.options import NetworkOptions
from memtrain.networks.prepared import PreparedTransformer
from memtrain.networks.transformer import KeysValues, Outputs, Transformer

Readout = Callable[[Tensor, Tensor | None], Tensor]
"""A memory `[B, K, D]` and what is known ahead `[B, U]`, or None, to parameters `[B, P]`."""
REGISTERS_PER_PASS = 64
"""Registers encoded in one pass: more make fewer calls, and larger attention masks."""


class ShortConvolution(nn.Module):
    """A causal depthwise convolution added to its input: each token sees its last `taps - 1` predecessors.

    Args:
        width: features of a token, D.
        taps: length of the filter; 2 is a learned token shift.
    """

    def __init__(self, width: int, taps: int) -> None:
        super().__init__()
        self.taps = taps
        self.weight = nn.Parameter(torch.randn(taps, width) / taps**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, T, D]` to `[B, T, D]`; output t depends on inputs `t - taps + 1 .. t`."""
        padded = F.pad(x, (0, 0, self.taps - 1, 0))
        for i, weight in enumerate(self.weight):
            x = torch.addcmul(x, padded[:, i : i + x.shape[1]], weight)
        return x


class Encoder(nn.Module):
    """The encoder E: context tokens and K register tokens -> the registers' outputs, normalized, are `m_t`.

    Each token carries its timestamp (rotary); the registers of timestep t stand at position t + 1 (or from there on)
    and attend to the tokens `<= t` and to each other (Kumar & Isola, arXiv 2606.06479).

    Args:
        options: sizes and switches of the networks.
    """

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__()
        self.options = options
        self.short_convolution = (
            ShortConvolution(options.width, options.short_convolution) if options.short_convolution else nn.Identity()
        )
        self.registers = nn.Parameter(torch.randn(options.memory_tokens, options.width))
        self.transformer = Transformer(
            options.width,
            options.encoder_layers,
            options.heads,
            options.head_dimension,
            options.rotary_dimensions,
        )

    def forward(self, embeddings: Tensor, timesteps: Tensor) -> Tensor:
        """Memories of the pasts that end at `timesteps`.

        Args:
            embeddings: embedded inputs, `[B, T, D]`.
            timesteps: int64 `[N]`, each in `0..T-1`.

        Returns:
            Normalized memories `[B, N, K, D]`, float32 or better.
        """
        timesteps = timesteps.cpu()  # once, for a device waits whenever it is asked for numbers
        groups = timesteps.split(max(1, REGISTERS_PER_PASS // self.options.memory_tokens))
        if self.options.attention == "causal":
            remembered = self._remember(embeddings[:, : int(timesteps.max()) + 1])
            memories = [self._recall(remembered, group) for group in groups]
        else:
            memories = [self._bidirectional(embeddings, group) for group in groups]
        together = memories[0] if len(groups) == 1 else torch.cat(memories, dim=1)
        return normalize_memory(together, self.options.memory_normalization)

    def sequential_flops(self, length: int) -> int:
        """`L_enc q(S)` with S the context, at most `context_length` of `length` tokens, and its K registers."""
        context = min(length, self.options.context_length or length)
        return forward_flops(self.transformer, context + self.options.memory_tokens)

    def _remember(self, embeddings: Tensor) -> KeysValues:
        """Keys and values of the tokens, which see neither later tokens nor registers: the same for all timesteps."""
        tokens = self.short_convolution(embeddings)
        at, window = torch.arange(tokens.shape[1]), self.options.context_length
        band = None if window is None or window >= len(at) else _sees(at, at, window).to(tokens.device)
        return self.transformer.remember(tokens, at.to(tokens.device), band)

    def _recall(self, remembered: KeysValues, timesteps: Tensor) -> Tensor:
        """The registers of some timesteps read what the tokens up to there have left: `[B, N, K, D]`."""
        (some, _), k, count = remembered[0], self.options.memory_tokens, len(timesteps)
        end = int(timesteps.max()) + 1
        sees = _sees(timesteps, torch.arange(end), self.options.context_length).repeat_interleave(k, 0)
        owner = torch.arange(count).repeat_interleave(k)
        mask = torch.cat([sees, owner[:, None] == owner], dim=1)
        outputs = self.transformer.recall(
            self.registers.repeat(count, 1).expand(len(some), -1, -1),
            self._register_positions(timesteps).flatten().to(some.device),
            [(keys[:, :end], values[:, :end]) for keys, values in remembered],
            None if bool(mask.all()) else mask.to(some.device),
        )
        return outputs.unflatten(1, (count, k))

    def _register_positions(self, timesteps: Tensor) -> Tensor:
        """Where the registers of each timestep stand: int64 `[N]` to `[N, K]`."""
        step = 1 if self.options.register_positions == "consecutive" else 0
        return timesteps[:, None] + 1 + step * torch.arange(self.options.memory_tokens)

    def _bidirectional(self, embeddings: Tensor, timesteps: Tensor) -> Tensor:
        """One pass a timestep, over its window of at most `context_length` tokens and its registers, all seeing all."""
        batch, k, device = len(embeddings), self.options.memory_tokens, embeddings.device
        window = int(timesteps.max()) + 1
        if self.options.context_length is not None:
            window = min(window, self.options.context_length)
        index = timesteps[:, None] - torch.arange(window - 1, -1, -1)  # [N, W], < 0: padding
        padded = bool((index < 0).any())
        inside = embeddings[:, index.clamp(min=0).to(device)]
        if padded:
            inside = inside * (index >= 0).unsqueeze(-1).to(device)
        # Inside the window, for a convolution over the sequence would reach before its first token.
        tokens = self.short_convolution(inside.flatten(0, 1)).unflatten(0, (batch, -1))
        positions = torch.cat([index, self._register_positions(timesteps)], dim=1)
        allowed = F.pad(index >= 0, (0, k), value=True)[:, None, :].expand(-1, window + k, -1)  # [N, W + K, W + K]
        return self.transformer(
            torch.cat([tokens, self.registers.expand(batch, len(timesteps), -1, -1)], dim=2),
            positions.to(device),
            mask=allowed.to(device) if padded else None,
            outputs=slice(window, None),
        )


def _sees(rows: Tensor, columns: Tensor, window: int | None) -> Tensor:
    """Whether the token or register at timestep `rows` `[R]` sees the token at `columns` `[C]`: bool `[R, C]`."""
    distance = rows[:, None] - columns
    return (distance >= 0) if window is None else (distance >= 0) & (distance < window)


class Decoder(nn.Module):
    """The decoder D, and without future tokens the readout g: memory -> the targets that follow.

    A Transformer over `[m_t (K tokens); x_{t+1} .. x_{t+F}]`; memory is its only route from the past.

    Args:
        options: sizes and switches of the networks.
        interface: what goes in and what comes out.
    """

    def __init__(self, options: NetworkOptions, interface: Interface) -> None:
        super().__init__()
        self.memory_tokens = options.memory_tokens
        self.full_memory_attention = options.memory_attention == "full"
        self.transformer = Transformer(
            options.width,
            options.decoder_layers,
            options.heads,
            options.head_dimension,
            options.rotary_dimensions,
        )
        self.head = interface.head(options.width)

    def forward(
        self,
        memory: Tensor,
        future: Tensor | None = None,
        wanted: Tensor | None = None,
        ahead: Tensor | None = None,
    ) -> Tensor:
        """The head's parameters of `y_t .. y_{t+F}` from `m_t` and `x_{t+1} .. x_{t+F}`; for tokens logits, P = V.

        Args:
            memory: `[..., K, D]`.
            future: embedded future inputs `[..., F, D]`, or None for `p(y_t | m_t)` alone.
            wanted: int64 `[..., W]`, broadcastable over the batches: which of the F + 1 targets; None: all.
            ahead: what is known ahead of each target wanted, `[..., F + 1, U]` or `[..., W, U]`; None: nothing.

        Returns:
            Parameters `[..., F + 1, P]`, or `[..., W, P]`.
        """
        k = self.memory_tokens
        tokens = memory if future is None else torch.cat([memory, future.to(memory.dtype)], dim=-2)
        size = tokens.shape[-2]
        positions = torch.arange(size, device=memory.device)
        mask = None
        if self.full_memory_attention:
            mask = (positions <= positions[:, None]) | ((positions < k) & (positions[:, None] < k))
        outputs: Outputs = slice(k - 1, None) if wanted is None else wanted + (k - 1)
        return self.head(self.transformer(tokens, positions, mask, causal=mask is None, outputs=outputs), ahead)

    def sequential_flops(self, future: int) -> int:
        """`L_dec q(K + F)` with F future inputs."""
        return forward_flops(self.transformer, self.memory_tokens + future)

    def prepared(self) -> Readout:
        """The readout g for many calls with the same weights."""
        positions = torch.arange(self.memory_tokens, device=next(self.head.parameters()).device)
        last, causal = slice(self.memory_tokens - 1, None), not self.full_memory_attention
        stack = PreparedTransformer(self.transformer, positions, outputs=last, causal=causal)
        return lambda memory, ahead: self.head(stack(memory).squeeze(-2), ahead)


def read(decoder: nn.Module, memory: Tensor, ahead: Tensor | None) -> Tensor:
    """A readout of memories alone: `m_t` `[..., K, D]`, and `u_{t+1}` `[..., U]` if any, to parameters `[..., P]`."""
    return decoder(memory, ahead=None if ahead is None else ahead.unsqueeze(-2)).squeeze(-2)


class Teacher(nn.Module):
    """Encoder, decoder and the input encoder they share.

    Args:
        options: sizes and switches of the networks.
        interface: what goes in and what comes out.
    """

    def __init__(self, options: NetworkOptions, interface: Interface) -> None:
        super().__init__()
        self.embedding = interface.inputs.encoder(options.width)
        self.encoder = Encoder(options)
        self.decoder = Decoder(options, interface)

    @property
    def head(self) -> OutputHead:
        """The decoder's."""
        return self.decoder.head

    def encode(self, inputs: Tensor, timesteps: Tensor) -> Tensor:
        """Predictive memories `m_t`.

        Args:
            inputs: `[B, T, ...]`; tokens: int64 `[B, T]`.
            timesteps: int64 `[N]`: the memories `m_t` wanted, each of the past `x_0..x_t` (or its window).

        Returns:
            `[B, N, K, D]`.
        """
        return self.encoder(self.embedding(inputs), timesteps)

    def decode(
        self, memory: Tensor, future: Tensor, wanted: Tensor | None = None, ahead: Tensor | None = None
    ) -> Tensor:
        """The head's parameters of the targets that follow each memory.

        Args:
            memory: `m_t`, `[B, N, K, D]`.
            future: the inputs `x_{t+1} .. x_{t+F}`, `[B, N, F, ...]`.
            wanted: int64 `[..., W]` in `0..F`, broadcastable over `[B, N]`: which targets; None: all F + 1.
            ahead: what is known ahead of each target wanted, `[B, N, W, U]`; None: nothing.

        Returns:
            Parameters of `y_t .. y_{t+F}`, `[B, N, F + 1, P]`, or of the wanted ones, `[B, N, W, P]`.
        """
        return self.decoder(memory, self.embedding(future), wanted, ahead)

    def read(self, memory: Tensor, ahead: Tensor | None = None) -> Tensor:
        """The head's parameters of `y_t` from `m_t` `[..., K, D]`, and `u_{t+1}` `[..., U]` if any: `[..., P]`."""
        return read(self.decoder, memory, ahead)

    def outputs(self, inputs: Tensor, timesteps: Tensor, ahead: Tensor | None = None) -> Tensor:
        """See `SequenceModel.outputs`: the teacher with its decoder as the readout."""
        return self.read(self.encode(inputs, timesteps), ahead)

    def sequential_flops(self, length: int) -> int:
        """See `SequenceModel.sequential_flops`: `L_enc q(S) + L_dec q(K)`."""
        return self.encoder.sequential_flops(length) + self.decoder.sequential_flops(0)
