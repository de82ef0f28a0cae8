"""StructuredCell: a cell whose units hardly touch each other, so that its state Jacobian is small and known."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from memtrain.limits import require_at_least
from memtrain.networks.cells.base import Cell


class StructuredCell(Cell):
    """A cell with an elementwise recurrence: units meet in the inputs, never in the step from memory to memory.

    Two things follow. What the inputs contribute can be computed for all timesteps in one call (`project`), before any
    recurrence. And the Jacobian `d m_{t+1} / d m_t` is diagonal or block-diagonal, which makes Newton's method cheap
    (`memtrain.trajectory.newton`). A subclass defines the three abstract methods and says its `structure`.
    """

    @abstractmethod
    def project(self, embedding: Tensor) -> Tensor:
        """What the inputs contribute to the update: `[..., D]` to `[..., P, units]`."""

    @abstractmethod
    def update(self, memory: Tensor, projected: Tensor) -> Tensor:
        """See `Cell.update`."""

    @abstractmethod
    def linearize(self, memory: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        """See `Cell.linearize`."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        """See `Cell.step`."""
        return self.update(memory, self.project(embedding))


class BlockDiagonalLinear(nn.Module):
    """Several linear maps at once, each block-diagonal: head i of the outputs sees head i of the inputs alone.

    Args:
        inputs: features of the input.
        outputs: features of each map's output.
        maps: number of maps, P.
        heads: blocks; 1 is a dense map. It must divide `inputs` and `outputs`.

    Raises:
        ValueError: for heads that do not divide the sizes.
    """

    def __init__(self, inputs: int, outputs: int, maps: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or inputs % heads or outputs % heads:
            raise ValueError(f"heads is {heads}, but must divide {inputs} inputs and {outputs} units; choose 1.")
        bound = (inputs // heads) ** -0.5
        self.weight = nn.Parameter(torch.empty(maps, heads, inputs // heads, outputs // heads).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(maps, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """`[..., inputs]` to `[..., P, outputs]`."""
        heads = x.unflatten(-1, (self.weight.shape[1], -1))
        return torch.einsum("...hi,phio->...pho", heads, self.weight).flatten(-2) + self.bias


def spread_timescales(units: int, longest: int) -> Tensor:
    """Biases of a forget gate with which units remember for 2 to `longest` steps, evenly spread.

    A gate of bias `ln(s - 1)` keeps `1 - 1/s` of a state: it remembers for about s steps ("chrono initialization",
    Tallec & Ollivier, "Can recurrent neural networks warp time?", 2018).

    Args:
        units: number of biases.
        longest: steps, at least 2.

    Raises:
        ValueError: for fewer than 2 steps.
    """
    require_at_least("network.cell.init_args.longest_memory", longest, 2, example="16 steps")
    return torch.linspace(2, longest, units).sub(1).log()[torch.randperm(units)]
