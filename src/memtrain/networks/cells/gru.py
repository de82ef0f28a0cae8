"""The GRU cell: torch's fused GRU over the flattened memory."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from memtrain.networks.cells.base import Cell, refuse_rms
from memtrain.networks.memory import MemoryNormalization


class GRUCell(Cell):
    """`torch.nn.GRU` with hidden size `K * D`; memories live in (-1, 1), so `memory_normalization` must be tanh.

    Args:
        width: features of a memory token and of the embedding, D.
        memory_tokens: tokens of a memory, K.
        memory_normalization: must be tanh.
        orthogonal: start from orthogonal recurrent weights, one matrix a gate. They keep the length of a state (Saxe et
            al., arXiv 1312.6120). Otherwise start from torch's uniform ones.
        update_bias: added to the update gate's bias at the start, so that a new cell remembers, as `forget_bias` does
            for an LSTM (Jozefowicz et al., 2015).
        accept_rms: take rms memories although no GRU state can equal them; only to study the reported collapse.
    """

    gated = True
    update_depth = 3  # product, gates, candidate

    def __init__(
        self,
        width: int,
        memory_tokens: int,
        memory_normalization: MemoryNormalization,
        orthogonal: bool = False,
        update_bias: float = 0.0,
        accept_rms: bool = False,
    ) -> None:
        super().__init__(width, memory_tokens, memory_normalization)
        refuse_rms("GRUCell", memory_normalization, accept_rms)
        self.gru = nn.GRU(width, width * memory_tokens, batch_first=True)
        with torch.no_grad():
            _, of_memory, input_bias, _ = self.gru.all_weights[0]  # reset, update, candidate
            input_bias.chunk(3)[1].add_(update_bias)
            if orthogonal:
                for gate in of_memory.chunk(3):
                    nn.init.orthogonal_(gate)

    def input_parameters(self) -> list[Tensor]:
        """See `Cell.input_parameters`; the fused kernel projects all inputs before its loop."""
        of_input, _, bias, _ = self.gru.all_weights[0]
        return [of_input, bias]

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        """See `Cell.step`."""
        return self.unroll(memory, embedding.unsqueeze(1)).squeeze(1)

    def elementary_update(self, memory: Tensor, projected: Tensor) -> Tensor:
        """See `Cell.elementary_update`; the equations of `torch.nn.GRU`."""
        of_input, of_memory, input_bias, memory_bias = self.gru.all_weights[0]
        state = memory.flatten(1)
        with torch.autocast(memory.device.type, enabled=False):
            seen = linear(projected.to(memory.dtype), of_input, input_bias).chunk(3, dim=1)
            kept = linear(state, of_memory, memory_bias).chunk(3, dim=1)
            reset, update = (seen[0] + kept[0]).sigmoid(), (seen[1] + kept[1]).sigmoid()
            candidate = (seen[2] + reset * kept[2]).tanh()
            return ((1 - update) * candidate + update * state).view_as(memory)

    def unroll(self, memory: Tensor, projected: Tensor) -> Tensor:
        """See `Cell.unroll`; one call of the fused kernel.

        In the memory's own precision: CUDA's autocast runs this kernel, and would keep memories, in 16 bits.
        """
        with torch.autocast(memory.device.type, enabled=False):
            states, _ = self.gru(projected.to(memory.dtype), memory.flatten(1).unsqueeze(0).contiguous())
        return states.unflatten(-1, (self.memory_tokens, self.width))
