"""The RNN: input encoder, cell and readout. It runs alone, from the first token on, without any teacher."""

import warnings

import torch
from torch import Tensor, nn

from memtrain.networks.cells.base import Cell, refuse_taken_names
from memtrain.networks.cells.jacobian import Update
from memtrain.networks.flops import input_flops, readout_flops, update_flops
from memtrain.networks.heads import OutputHead
from memtrain.networks.interface import Interface
from memtrain.networks.memory import InitialMemory, MemorySpec
from memtrain.networks.options import NetworkOptions
from memtrain.networks.rollout import rollout
from memtrain.networks.sequence_model import Stream
from memtrain.networks.teacher import Decoder, Readout, read

SLACK = 0.1
"""How far from 1 the root mean square of a memory of kind rms may lie."""


class LinearReadout(nn.Module):
    """One linear layer over the whole memory.

    Args:
        options: sizes of the networks.
        interface: what goes in and what comes out.
    """

    def __init__(self, options: NetworkOptions, interface: Interface) -> None:
        super().__init__()
        self.head = interface.head(options.memory_tokens * options.width)

    def forward(self, memory: Tensor, ahead: Tensor | None = None) -> Tensor:
        """`[..., K, D]`, and `[..., 1, U]` if anything is known ahead, to `[..., 1, P]`: `Decoder` without a future."""
        return self.head(memory.flatten(-2).unsqueeze(-2), ahead)

    def prepared(self) -> Readout:
        """As `Decoder.prepared`."""
        return lambda memory, ahead: read(self, memory, ahead)


class RNN(nn.Module):
    """A recurrent network with a fixed-size memory (Kumar & Isola, arXiv 2606.06479).

    `m_0 = f(m_init, x_0)`, `m_{t+1} = f(m_t, x_{t+1})`, `p(y_t | x_{<=t})` has the parameters `g(m_t)`, or
    `g(m_t, u_{t+1})` where the data know something of the next step.

    Args:
        options: sizes and switches of the networks.
        interface: what goes in and what comes out.
    """

    def __init__(self, options: NetworkOptions, interface: Interface) -> None:
        super().__init__()
        self.embedding = interface.inputs.encoder(options.width)
        memory = MemorySpec(options.width, options.memory_tokens, options.memory_normalization)
        self.start = InitialMemory(memory, learned=options.initial_memory == "learned")
        self.cell = options.cell(options.width, options.memory_tokens, options.memory_normalization)
        try_out(self.cell)
        self.readout: Decoder | LinearReadout = (
            Decoder(options, interface) if options.readout == "decoder" else LinearReadout(options, interface)
        )

    @property
    def head(self) -> OutputHead:
        """The readout's."""
        return self.readout.head

    def embed(self, inputs: Tensor) -> Tensor:
        """Embedded inputs: `[B, T, ...]` to `[B, T, D]`."""
        return self.embedding(inputs)

    def initial_memory(self, batch: int) -> Tensor:
        """`m_init` for each sample: `[B, K, D]`."""
        return self.start(batch, next(self.embedding.parameters()))

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        """`f(m_t, x_{t+1})`.

        Args:
            memory: `[..., K, D]`.
            embedding: `[..., D]` with the same leading sizes; all of them are one batch for the cell.

        Returns:
            `m_{t+1}`, `[..., K, D]`.
        """
        after = self.cell.step(memory.flatten(0, -3), embedding.flatten(0, -2))
        return after.unflatten(0, memory.shape[:-2])

    def read(self, memory: Tensor, ahead: Tensor | None = None) -> Tensor:
        """Parameters `g(m_t, u_{t+1})` of `y_t`: `[..., K, D]`, and `[..., U]` if any, to `[..., P]`."""
        return read(self.readout, memory, ahead)

    def outputs(self, inputs: Tensor, timesteps: Tensor, ahead: Tensor | None = None) -> Tensor:
        """See `SequenceModel.outputs`: rolled out from `m_init`, without any teacher."""
        states = rollout(self.cell, self.initial_memory(len(inputs)), self.embed(inputs))
        return self.read(states[:, timesteps], ahead)

    def sequential_flops(self, length: int) -> int:
        """See `SequenceModel.sequential_flops`: all inputs at once, T updates, the readout."""
        updates = input_flops(self.cell) + length * update_flops(self.cell)
        return updates + readout_flops(self.readout, self.cell.memory_tokens)

    @torch.no_grad()
    def stream(
        self, inputs: Tensor, memory: Tensor | None = None, ahead: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Take in one input, at constant cost.

        Args:
            inputs: `x_t`, `[B, ...]`; tokens: int64 `[B]`.
            memory: `m_{t-1}`, `[B, K, D]`; None before the first input.
            ahead: `u_{t+1}`, `[B, U]`, where the data have any.

        Returns:
            Parameters of `y_t`, `[B, P]`, and the memory `m_t`, `[B, K, D]`.
        """
        return self._take_in(self.cell.update, self.read, inputs, memory, ahead)

    def prepared(self) -> Stream:
        """`stream` for many inputs with the same weights: the same, and faster."""
        update, readout = self.cell.prepared(), self.readout.prepared()
        return lambda inputs, memory, ahead=None: self._take_in(update, readout, inputs, memory, ahead)

    def _take_in(
        self, update: Update, readout: Readout, inputs: Tensor, memory: Tensor | None, ahead: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        memory = self.initial_memory(len(inputs)) if memory is None else memory
        memory = update(memory, self.cell.project(self.embedding(inputs)))
        return readout(memory, ahead), memory


@torch.no_grad()
def try_out(cell: Cell) -> None:
    """One step before anything is trained: a cell of another shape is refused, one of another space warned of.

    Raises:
        ValueError: naming the cell, what it returned and what it must return.
    """
    generator = torch.Generator().manual_seed(0)
    refuse_taken_names(cell)
    memory = cell.memory.normalize(torch.randn(2, cell.memory.tokens, cell.memory.width, generator=generator))
    kind, wanted = type(cell).__name__, list(memory.shape)
    try:
        after = cell.step(memory, torch.randn(2, cell.width, generator=generator))
    except (RuntimeError, TypeError, IndexError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{kind}.step failed on a memory [B, K, D] = {wanted} and an embedding [B, D] = {[2, cell.width]}: "
            f"{reason}."
        ) from error
    found = list(after.shape) if isinstance(after, Tensor) else f"a {type(after).__name__}"
    if found != wanted:
        raise ValueError(f"{kind}.step returned {found}, but must return the next memory, [B, K, D] = {wanted}.")
    if cell.gated:
        return
    size = after.square().mean(-1).sqrt()
    outside = (size - 1).abs().amax() > SLACK if cell.memory_normalization == "rms" else after.abs().amax() > 1
    if outside:
        warnings.warn(
            f"{kind}.step returned memories of root mean square {size.min():.2f} to {size.max():.2f}, outside the "
            f"space of the teacher's, which it is to imitate (network.memory_normalization is "
            f"{cell.memory_normalization}); end step in memtrain.networks.memory.normalize_memory, or, for a gated "
            "state, set that option to tanh.",
            stacklevel=2,
        )
