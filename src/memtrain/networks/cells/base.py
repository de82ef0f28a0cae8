"""Cell: what every recurrent update has in common, and what a user's own cell must provide."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from memtrain.networks.cells.jacobian import Structure, Update, dense_jacobian, refuse_large_memory
from memtrain.networks.memory import MemoryNormalization, MemorySpec


class Cell(nn.Module, ABC):
    """A one-step memory update `m_{t+1} = f(m_t, x_{t+1})` (Kumar & Isola, arXiv 2606.06479).

    A subclass takes these three sizes first, then options of its own with defaults, and defines `step`. All else has a
    general form. The names below belong to Cell, so that no layer or parameter of a subclass can have them.

    Args:
        width: features of a memory token and of the token embedding, D.
        memory_tokens: tokens of a memory, K.
        memory_normalization: `rms` or `tanh`: the space that the teacher's memories live in. `step` must return
            memories of that space: end it in `memtrain.networks.memory.normalize_memory`, unless it stays in
            (-1, 1) by itself.

    Attributes:
        memory: the three sizes as one.
        gated: whether `step` stays where gates keep it, and ends in no normalization.
        structure: of the Jacobian that `linearize` returns: diagonal, blocks or dense.
        bounded: whether an update never leaves the cube [-b, b], b at least 1, that its memory lies in. Newton's
            iterates are then kept in it, which makes them converge in far fewer steps where J is large.
        update_depth: dependent operations of an update, without input products; None: those of its modules, one by one.
    """

    gated: ClassVar[bool] = False
    structure: ClassVar[Structure] = "dense"
    bounded: ClassVar[bool] = False
    update_depth: ClassVar[int | None] = None

    def __init__(self, width: int, memory_tokens: int, memory_normalization: MemoryNormalization) -> None:
        super().__init__()
        self.memory = MemorySpec(width, memory_tokens, memory_normalization)
        self.width, self.memory_tokens, self.memory_normalization = width, memory_tokens, memory_normalization

    @abstractmethod
    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        """One update.

        Args:
            memory: `m_t`, `[B, K, D]`.
            embedding: the embedded input `x_{t+1}`, `[B, D]`.

        Returns:
            `m_{t+1}`, `[B, K, D]`.
        """

    def project(self, embedding: Tensor) -> Tensor:
        """What the input contributes by itself, for all timesteps in one call: `[..., D]` to `[..., *]`.

        Here the embedding as it is. A cell with a projection of its own defines `update` too, see StructuredCell.
        """
        return embedding

    def update(self, memory: Tensor, projected: Tensor) -> Tensor:
        """`step` with the input as `project` returns it: `[B, K, D]` and `[B, *]` to `[B, K, D]`."""
        return self.step(memory, projected)

    def elementary_update(self, memory: Tensor, projected: Tensor) -> Tensor:
        """`update` in operations that have forward-mode derivatives, as dense Jacobians need.

        Override it where `step` calls a fused kernel, as `torch.nn.GRUCell` does: CUDA's have none.
        """
        return self.update(memory, projected)

    def linearize(self, memory: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        """The next memory, and its Jacobian in the memory, which carries no gradient.

        Here a dense Jacobian by forward-mode derivatives. A cell that knows its own overrides this, and `structure`.

        Args:
            memory: `[N, K, D]`.
            projected: `[N, *]`.

        Returns:
            The next memory `[N, K, D]`, and the Jacobian: `[N, K, D]` where it is diagonal; `[N, G, n, n]` where it has
            G blocks; `[N, 1, Z, Z]` where it is dense. Block i joins number i of n equal groups, one after the other,
            that make up the memory.

        Raises:
            ValueError: for a memory that is too large, and for an operation without forward-mode derivative.
        """
        name = type(self).__name__
        refuse_large_memory(name, self.memory)
        after = self.elementary_update(memory, projected)
        try:
            return after, dense_jacobian(self.elementary_update, memory, projected)
        except NotImplementedError as error:
            raise ValueError(
                f"network.cell is {name}, but its Jacobian needs forward-mode derivatives that torch does not have "
                f"({str(error).splitlines()[0]}); override its elementary_update, or set trajectory to Picard, or to "
                "Sequential with adjoint autograd."
            ) from error

    def prepared(self) -> Update:
        """`update` for many calls with the same weights; override it to do once what each would repeat."""
        return self.update

    def unroll(self, memory: Tensor, projected: Tensor) -> Tensor:
        """T updates in a row; override it where a fused kernel computes the same.

        Args:
            memory: the memory to start from, `[B, K, D]`.
            projected: inputs as `project` returns them, `[B, T, *]`.

        Returns:
            The memories after each of them, `[B, T, K, D]`.
        """
        update, states = self.prepared(), []
        # unbind, not indexing: the backward of indexing writes a whole [B, T, D] gradient at every step.
        for x in projected.unbind(1):
            memory = update(memory, x)
            states.append(memory)
        return torch.stack(states, dim=1)

    def rollout(self, memory: Tensor, embeddings: Tensor) -> Tensor:
        """T steps in a row, all inputs projected in one call before them.

        Args:
            memory: the memory to start from, `[B, K, D]`.
            embeddings: embedded inputs, `[B, T, D]`.

        Returns:
            The memories after each of them, `[B, T, K, D]`.
        """
        return self.unroll(memory, self.project(embeddings))

    def input_parameters(self) -> list[Tensor]:
        """Parameters that meet the input alone, so that one product could serve all timesteps at once; none here."""
        return []


def refuse_taken_names(cell: Cell) -> None:
    """Refuse a cell that has named a layer, parameter or buffer as Cell names something else.

    Raises:
        ValueError: naming the first of them.
    """
    own = [*cell.named_children(), *cell.named_parameters(recurse=False), *cell.named_buffers(recurse=False)]
    for name, _ in own:
        if name == "memory" or hasattr(Cell, name):
            kind = type(cell).__name__
            raise ValueError(
                f"{kind}.{name} is a layer, parameter or buffer, but {name} is a name that Cell uses; rename it."
            )


def halved(cell: str, size: int) -> int:
    """Half of a memory's `size` numbers, for cells whose memory is [c | h].

    Raises:
        ValueError: for an odd size.
    """
    if size % 2:
        raise ValueError(
            f"network.width * network.memory_tokens is {size}, but {cell} needs an even number (half for c, half for "
            "h); choose an even width."
        )
    return size // 2


def refuse_rms(cell: str, memory_normalization: MemoryNormalization, accept_rms: bool) -> None:
    """Refuse a gated cell where memories are RMS-normalized.

    Raises:
        ValueError: a gated state h lies in [-1, 1], so it reaches no RMS-1 memory but sign vectors.
    """
    if memory_normalization != "tanh" and not accept_rms:
        raise ValueError(
            f"network.memory_normalization is {memory_normalization}, but the gated states h of {cell} lie in "
            "[-1, 1] and cannot reach such memories; set it to tanh."
        )
