"""The ParaGRU cell: a GRU whose units do not touch each other, so that its rollout can be solved in parallel."""

import torch
from torch import Tensor, nn

from memtrain.networks.cells.base import refuse_rms
from memtrain.networks.cells.structured import BlockDiagonalLinear, StructuredCell, spread_timescales
from memtrain.networks.memory import MemoryNormalization


class ParaGRUCell(StructuredCell):
    """`h' = (1 - z) h + z c`, all products elementwise (Danieli et al., arXiv 2510.21450).

    `z = sigmoid(a_z h + B_z x + b_z)`, `r = sigmoid(a_r h + B_r x + b_r)`, `c = tanh(a_c h r + B_c x + b_c)`.
    Its state Jacobian is diagonal. At the start B is uniform as in `nn.Linear`, the recurrent weights a are uniform in
    (-0.5, 0.5), where Newton converges in few iterations, and the biases of z spread the units' memory from 2 to
    `longest_memory` steps; other biases are 0.

    Args:
        width: features of a memory token and of the embedding, D.
        memory_tokens: tokens of a memory, K.
        memory_normalization: must be tanh.
        heads: diagonal blocks of B; 1: every unit sees the whole input.
        longest_memory: steps that the slowest unit remembers at the start; raise it for longer dependencies.
        accept_rms: take rms memories although no gated state can equal them; only to study the reported collapse.
    """

    gated = True
    update_depth = 2  # gates; candidate, or output gate
    structure = "diagonal"
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
        refuse_rms("ParaGRUCell", memory_normalization, accept_rms)
        units = self.memory.size
        self.inputs = BlockDiagonalLinear(width, units, 3, heads)
        self.recurrent = nn.Parameter(torch.empty(3, units).uniform_(-0.5, 0.5))
        with torch.no_grad():
            self.inputs.bias[0] = -spread_timescales(units, longest_memory)  # 1 - z is the forget gate

    def input_parameters(self) -> list[Tensor]:
        """See `Cell.input_parameters`."""
        return list(self.inputs.parameters())

    def project(self, embedding: Tensor) -> Tensor:
        """`B x + b` of z, r and c: `[..., D]` to `[..., 3, K * D]`."""
        return self.inputs(embedding)

    def update(self, memory: Tensor, projected: Tensor) -> Tensor:
        """See `Cell.update`; for any leading sizes."""
        h = memory.flatten(-2)
        z, _, c = self._gates(h, projected)
        return torch.lerp(h, c, z).view_as(memory)

    def linearize(self, memory: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        """See `Cell.linearize`."""
        h = memory.flatten(-2)
        z, r, c = self._gates(h, projected)
        after = torch.lerp(h, c, z).view_as(memory)
        with torch.no_grad():
            a_z, a_r, a_c = self.recurrent.unbind(0)
            dz, dr = z * (1 - z) * a_z, r * (1 - r) * a_r
            dc = (1 - c.square()) * a_c * (r + h * dr)
            jacobian = (1 - z) + (c - h) * dz + z * dc
        return after, jacobian.view_as(memory)

    def _gates(self, h: Tensor, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z, r and the candidate c, each `[..., K * D]`."""
        a_z, a_r, a_c = self.recurrent.unbind(0)
        x_z, x_r, x_c = projected.unbind(-2)
        z, r = torch.sigmoid(a_z * h + x_z), torch.sigmoid(a_r * h + x_r)
        return z, r, torch.tanh(a_c * (h * r) + x_c)
