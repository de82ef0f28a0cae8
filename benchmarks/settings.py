"""Sizes: of the models, and of the work that a workload does."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from memtrain.networks import Interface, NetworkOptions
from memtrain.networks.cells import TransformerCell


@dataclass(frozen=True)
class Size:
    """Sizes of a model, the same on both sides.

    Attributes:
        width: features of a token, D.
        memory_tokens: tokens of a memory, K.
        encoder_layers: blocks of the encoder.
        decoder_layers: blocks of the decoder and of the readout.
        cell_layers: blocks of the Transformer cell.
        heads: attention heads.
        vocabulary: number of tokens, V.
        head_dimension: features of a head; x-transformers' default at any width.
    """

    width: int
    memory_tokens: int
    encoder_layers: int
    decoder_layers: int
    cell_layers: int
    heads: int
    vocabulary: int = 256
    head_dimension: int = 64

    @property
    def interface(self) -> Interface:
        """Tokens in, tokens out."""
        return Interface.of_tokens(self.vocabulary)

    def network(self, **options: Any) -> NetworkOptions:
        """Our networks of these sizes.

        Args:
            options: further options, for example `attention`.
        """
        sizes = ("width", "memory_tokens", "encoder_layers", "decoder_layers", "heads", "head_dimension")
        cell = partial(TransformerCell, layers=self.cell_layers, heads=self.heads, head_dimension=self.head_dimension)
        return NetworkOptions(**{name: getattr(self, name) for name in sizes}, cell=cell, **options)


@dataclass(frozen=True)
class Setting:
    """What a workload works on.

    Attributes:
        size: sizes of the model.
        batch: sequences in a batch, B.
        context: tokens that the teacher encodes, Tc.
        future: targets decoded from a memory, Tf.
        timesteps: memories trained in each sequence, N.
        rollout: steps of a rollout, of BPTT and of generation.
        label_stride: steps from one label of a rollout to the next.
    """

    size: Size
    batch: int
    context: int = 128
    future: int = 32
    timesteps: int = 1
    rollout: int = 64
    label_stride: int = 4

    def quick(self) -> "Setting":
        """The same work at toy size, for tests."""
        return replace(
            self, size=TOY, batch=2, context=9, future=4, timesteps=min(self.timesteps, 3), rollout=6, label_stride=2
        )


SMALL = Size(width=128, memory_tokens=8, encoder_layers=4, decoder_layers=2, cell_layers=4, heads=4)
"""Model S of the targets."""

FULL = Size(width=256, memory_tokens=16, encoder_layers=8, decoder_layers=4, cell_layers=8, heads=8)
"""The authors' own size."""

TOY = Size(width=16, memory_tokens=2, encoder_layers=2, decoder_layers=1, cell_layers=1, heads=2, vocabulary=11)
"""For tests."""
