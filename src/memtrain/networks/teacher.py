"""The teacher: an encoder that says what the memory of a past should be, and a decoder that makes it predictive."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memtrain.networks.memory import normalize_memory
from memtrain.networks.options import NetworkOptions
from memtrain.networks.transformer import Outputs, Transformer


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
        shifted = padded.unfold(1, x.shape[1], 1)  # [B, taps, D, T]
        return x + torch.einsum("bkdt,kd->btd", shifted, self.weight)


class Encoder(nn.Module):
    """The encoder E: context tokens and K register tokens -> the registers' outputs, normalised, are `m_t`.

    Each token carries its timestamp (rotary); all registers of timestep t stand at position t + 1 and attend to the
    tokens `<= t` and to each other (method: section 2).

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
            Normalised memories `[B, N, K, D]`, float32 or better.
        """
        encode = self._causal if self.options.attention == "causal" else self._bidirectional
        return normalize_memory(encode(embeddings, timesteps), self.options.memory_normalization)

    def _causal(self, embeddings: Tensor, timesteps: Tensor) -> Tensor:
        """One pass for all timesteps: tokens attend backwards only, so their states do not depend on the timestep."""
        tokens = self.short_convolution(embeddings)
        batch, length, _ = tokens.shape
        count, k = len(timesteps), self.options.memory_tokens
        window = self.options.context_length or length
        ends = torch.cat([torch.arange(length, device=tokens.device), timesteps.repeat_interleave(k)])
        starts = torch.arange(length, device=tokens.device)
        sees_tokens = (starts <= ends[:, None]) & (starts > ends[:, None] - window)  # [T + N*K, T]
        owner = torch.arange(count, device=tokens.device).repeat_interleave(k)
        sees_registers = F.pad(owner[:, None] == owner, (0, 0, length, 0))  # no token sees a register
        positions = torch.cat([starts, timesteps.repeat_interleave(k) + 1])
        outputs = self.transformer(
            torch.cat([tokens, self.registers.repeat(count, 1).expand(batch, -1, -1)], dim=1),
            positions,
            mask=torch.cat([sees_tokens, sees_registers], dim=1),
            outputs=slice(length, None),
        )
        return outputs.unflatten(1, (count, k))

    def _bidirectional(self, embeddings: Tensor, timesteps: Tensor) -> Tensor:
        """One pass a timestep, over its window of at most `context_length` tokens and its registers, all seeing all."""
        batch, k = len(embeddings), self.options.memory_tokens
        window = int(timesteps.max()) + 1
        if self.options.context_length is not None:
            window = min(window, self.options.context_length)
        index = timesteps[:, None] - torch.arange(window - 1, -1, -1, device=embeddings.device)  # [N, W], < 0: padding
        inside = embeddings[:, index.clamp(min=0)] * (index >= 0).unsqueeze(-1)
        # Inside the window, for a convolution over the sequence would reach before its first token.
        tokens = self.short_convolution(inside.flatten(0, 1)).unflatten(0, (batch, -1))
        positions = torch.cat([index, (timesteps[:, None] + 1).expand(-1, k)], dim=1)
        registers = self.registers.expand(batch, len(timesteps), -1, -1)
        allowed = F.pad(index >= 0, (0, k), value=True)[:, None, :].expand(-1, window + k, -1)  # [N, W + K, W + K]
        return self.transformer(
            torch.cat([tokens, registers], dim=2),
            positions,
            mask=allowed,
            outputs=slice(window, None),
        )


class Decoder(nn.Module):
    """The decoder D, and without future tokens the readout g: memory -> logits of the targets that follow.

    A Transformer over `[m_t (K tokens); x_{t+1} .. x_{t+F}]`; memory is its only route from the past.

    Args:
        options: sizes and switches of the networks.
        vocabulary_size: number of target classes, V.
    """

    def __init__(self, options: NetworkOptions, vocabulary_size: int) -> None:
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
        self.logits = nn.Linear(options.width, vocabulary_size)

    def forward(self, memory: Tensor, future: Tensor | None = None, wanted: Tensor | None = None) -> Tensor:
        """Logits of `y_t .. y_{t+F}` from `m_t` and `x_{t+1} .. x_{t+F}`.

        Args:
            memory: `[..., K, D]`.
            future: embedded future inputs `[..., F, D]`, or None for `p(y_t | m_t)` alone.
            wanted: int64 `[..., P]`, broadcastable over the batches: which of the F + 1 targets; None: all.

        Returns:
            Logits `[..., F + 1, V]`, or `[..., P, V]`.
        """
        k = self.memory_tokens
        tokens = memory if future is None else torch.cat([memory, future.to(memory.dtype)], dim=-2)
        size = tokens.shape[-2]
        positions = torch.arange(size, device=memory.device)
        mask = None
        if self.full_memory_attention:
            mask = (positions <= positions[:, None]) | ((positions < k) & (positions[:, None] < k))
        outputs: Outputs = slice(k - 1, None) if wanted is None else wanted + (k - 1)
        return self.logits(self.transformer(tokens, positions, mask, causal=mask is None, outputs=outputs))


class Teacher(nn.Module):
    """Encoder, decoder and the token embedding they share.

    Args:
        options: sizes and switches of the networks.
        vocabulary_size: number of tokens, V.
    """

    def __init__(self, options: NetworkOptions, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, options.width)
        self.encoder = Encoder(options)
        self.decoder = Decoder(options, vocabulary_size)

    def encode(self, inputs: Tensor, timesteps: Tensor) -> Tensor:
        """Predictive memories `m_t`.

        Args:
            inputs: int64 `[B, T]`.
            timesteps: int64 `[N]`: the memories `m_t` wanted, each of the past `x_0..x_t` (or its window).

        Returns:
            `[B, N, K, D]`.
        """
        return self.encoder(self.embedding(inputs), timesteps)

    def encode_many(self, inputs: Tensor, timesteps: Tensor, registers_per_pass: int = 256) -> Tensor:
        """`encode` of many timesteps, in passes that keep the attention mask small.

        Args:
            inputs: int64 `[B, T]`.
            timesteps: int64 `[N]`.
            registers_per_pass: register tokens of one pass, at least K.

        Returns:
            `[B, N, K, D]`.
        """
        chunk = max(1, registers_per_pass // self.encoder.options.memory_tokens)
        return torch.cat([self.encode(inputs, part) for part in timesteps.split(chunk)], dim=1)

    def decode(self, memory: Tensor, future: Tensor, wanted: Tensor | None = None) -> Tensor:
        """Logits of the targets that follow each memory.

        Args:
            memory: `m_t`, `[B, N, K, D]`.
            future: int64 `[B, N, F]`, the inputs `x_{t+1} .. x_{t+F}`.
            wanted: int64 `[..., P]` in `0..F`, broadcastable over `[B, N]`: which targets; None: all F + 1.

        Returns:
            Logits of `y_t .. y_{t+F}`, `[B, N, F + 1, V]`, or of the wanted ones, `[B, N, P, V]`.
        """
        return self.decoder(memory, self.embedding(future), wanted)

    def read(self, memory: Tensor) -> Tensor:
        """Logits of `y_t` from `m_t` alone: `[..., K, D]` to `[..., V]`."""
        return self.decoder(memory).squeeze(-2)
