"""The ParaLSTM cell: an LSTM whose units do not touch each other, so that its rollout can be solved in parallel."""

import torch
from torch import Tensor, nn

from memtrain.networks.cells.base import halved, refuse_rms
from memtrain.networks.cells.structured import BlockDiagonalLinear, StructuredCell, spread_timescales
from memtrain.networks.memory import MemoryNormalization


class ParaLSTMCell(StructuredCell):
    """`c' = f c + (1 - f) g`, `h' = o tanh(c')`, all products elementwise (arXiv 2510.21450).

    `f = sigmoid(a_f h + B_f x + C_f c + b_f)`, `g = tanh(a_g h + B_g x + b_g)`,
    `o = sigmoid(a_o h + B_o x + C_o c' + b_o)`: forget and input gate are coupled, and C are peepholes. The memory is
    `[c | h]`; the state Jacobian has a 2x2 block a unit. At the start B is uniform as in `nn.Linear`, a and C are
    uniform in (-0.5, 0.5), where Newton converges in few iterations, and the biases of f spread the units' memory from
    2 to `longest_memory` steps; other biases are 0.

    Args:
        width: features of a memory token and of the embedding, D.
        memory_tokens: tokens of a memory, K; `K * D` must be even.
        memory_normalization: must be tanh.
        heads: diagonal blocks of B; 1: every unit sees the whole input.
        longest_memory: steps that the slowest unit remembers at the start; raise it for longer dependencies.
        accept_rms: take rms memories although no gated state can equal them; only to study the reported collapse.
    """

    gated = True
    update_depth = 2  # gates; candidate, or output gate
    structure = "blocks"
    bounded = True

    def __init__(
        self,
        width: int,
        memory_tokens: int,
        memory_normalization: MemoryNormalization,
        heads: int = 1,
        longest_memory: int = 16,
        accept_rms: bool = False,
    ) -> None:
        super().__init__(width, memory_tokens, memory_normalization)
        refuse_rms("ParaLSTMCell", memory_normalization, accept_rms)
        units = halved("a ParaLSTMCell", self.memory.size)
        self.inputs = BlockDiagonalLinear(width, units, 3, heads)
        self.recurrent = nn.Parameter(torch.empty(3, units).uniform_(-0.5, 0.5))
        self.peepholes = nn.Parameter(torch.empty(2, units).uniform_(-0.5, 0.5))
        with torch.no_grad():
            self.inputs.bias[0] = spread_timescales(units, longest_memory)

    def input_parameters(self) -> list[Tensor]:
        """See `Cell.input_parameters`."""
        return list(self.inputs.parameters())

    def project(self, embedding: Tensor) -> Tensor:
        """`B x + b` of f, g and o: `[..., D]` to `[..., 3, K * D / 2]`."""
        return self.inputs(embedding)

    def update(self, memory: Tensor, projected: Tensor) -> Tensor:
        """See `Cell.update`; for any leading sizes."""
        c, h = memory.flatten(-2).chunk(2, dim=-1)
        *_, after, o = self._gates(c, h, projected)
        return torch.cat([after, o * after.tanh()], dim=-1).view_as(memory)

    def linearize(self, memory: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        """See `Cell.linearize`; rows and columns of a block are c, h."""
        c, h = memory.flatten(-2).chunk(2, dim=-1)
        f, g, after, o = self._gates(c, h, projected)
        squashed = after.tanh()
        memory = torch.cat([after, o * squashed], dim=-1).view_as(memory)
        with torch.no_grad():
            (a_f, a_g, a_o), (c_f, c_o) = self.recurrent.unbind(0), self.peepholes.unbind(0)
            df = (c - g) * f * (1 - f)  # d c' / d (argument of f)
            c_by_c, c_by_h = f + df * c_f, df * a_f + (1 - f) * (1 - g.square()) * a_g
            do = squashed * o * (1 - o)  # d h' / d (argument of o)
            through_c = o * (1 - squashed.square()) + do * c_o
            h_by_c, h_by_h = through_c * c_by_c, through_c * c_by_h + do * a_o
            jacobian = torch.stack([c_by_c, c_by_h, h_by_c, h_by_h], dim=-1).unflatten(-1, (2, 2))
        return memory, jacobian

    def _gates(self, c: Tensor, h: Tensor, projected: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """f, g, c' and o, each `[..., K * D / 2]`."""
        a_f, a_g, a_o = self.recurrent.unbind(0)
        c_f, c_o = self.peepholes.unbind(0)
        x_f, x_g, x_o = projected.unbind(-2)
        f = torch.sigmoid(a_f * h + x_f + c_f * c)
        g = torch.tanh(a_g * h + x_g)
        after = torch.lerp(g, c, f)
        return f, g, after, torch.sigmoid(a_o * h + x_o + c_o * after)
