"""NetworkOptions: every size and switch of the networks, in one place, shared by all stages."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

from memtrain.limits import require_at_least
from memtrain.networks.cells import Cell, TransformerCell
from memtrain.networks.factories import plain_factory, primitive_factory
from memtrain.networks.memory import MemoryNormalization

CellFactory = Callable[[int, int, MemoryNormalization], Cell]
"""Makes a cell when called with (width, memory_tokens, memory_normalization)."""


@dataclass(frozen=True)
class NetworkOptions:
    """Sizes and switches of teacher and RNN.

    Args:
        width: features of a token, D; the same in teacher, memory and RNN.
        memory_tokens: tokens of a memory, K; a memory is `K * width` numbers.
        heads: attention heads of encoder and decoder.
        head_dimension: features of a head; 64 in the authors' code at any width, smaller is faster at small widths.
        rotary_dimensions: rotated features of a head of encoder and decoder; null: half of the head but at least 32, or
            all if it has fewer.
        encoder_layers: blocks of the teacher's encoder.
        decoder_layers: blocks of the teacher's decoder, and of the readout where `readout` is decoder.
        attention: how the encoder attends. causal: one pass gives the memories of all timesteps. bidirectional (paper):
            one pass a timestep, expensive where all timesteps are wanted.
        context_length: null: memories see everything since the first token. A number Tc: with bidirectional, exactly
            the last Tc tokens; with causal, Tc is each layer's attention window, so that a memory sees up to
            `encoder_layers * (Tc - 1)` tokens back (and as many more as `short_convolution` has taps but one), and
            equals encoding the prefix, not the window.
        short_convolution: taps of a causal depthwise convolution on the encoder's input embeddings; 0: none;
            2 (each token sees its predecessor) removes the teacher's plateau on "the token after the marker" tasks.
        register_positions: shared: all registers of a timestep t stand at position t + 1. consecutive: at t + 1, t + 2
            and so on, as in the authors' code.
        memory_attention: causal: a memory token of the decoder attends to earlier ones; full: to all (prefix LM).
        memory_normalization: rms (each memory token has root mean square 1) or tanh (entries in (-1, 1); needed by
            gated cells, whose states cannot reach memories of the other kind).
        initial_memory: learned: K distinct tokens; zeros: what the paper does, not learned.
        readout: decoder: a decoder without future tokens, copied from the teacher after SMT; linear: one linear layer
            over the whole memory (BPTT only).
        cell: the recurrent update f, called with (width, memory_tokens, memory_normalization); in YAML a `class_path`
            with `init_args` of any importable subclass of `memtrain.networks.cells.Cell`.
    """

    width: int = 64
    memory_tokens: int = 4
    heads: int = 4
    head_dimension: int = 16
    rotary_dimensions: int | None = None
    encoder_layers: int = 2
    decoder_layers: int = 1
    attention: Literal["causal", "bidirectional"] = "causal"
    context_length: int | None = None
    short_convolution: int = 0
    register_positions: Literal["shared", "consecutive"] = "shared"
    memory_attention: Literal["causal", "full"] = "causal"
    memory_normalization: MemoryNormalization = "rms"
    initial_memory: Literal["learned", "zeros"] = "learned"
    readout: Literal["decoder", "linear"] = "decoder"
    cell: CellFactory = TransformerCell

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be."""
        for name in ("width", "memory_tokens", "heads", "head_dimension", "encoder_layers", "decoder_layers"):
            require_at_least(f"network.{name}", getattr(self, name), 1, example=getattr(NetworkOptions, name))
        if self.context_length is not None:
            require_at_least("network.context_length", self.context_length, 1, example="64, or null for everything")
        require_at_least("network.short_convolution", self.short_convolution, 0, example="2 taps, or 0 for none")
        object.__setattr__(self, "cell", plain_factory("network.cell", self.cell, Cell))

    def to_primitive(self) -> dict[str, Any]:
        """These options as YAML primitives, with the cell as `class_path` and `init_args`."""
        return {
            f.name: primitive_factory(self.cell, given=3) if f.name == "cell" else getattr(self, f.name)
            for f in fields(self)
        }
