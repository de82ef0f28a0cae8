"""The LSTM cell: torch's LSTM, whose cell and hidden state together are the memory `[c | h]`.

It is stepped, because memories need c and h of every step, and torch's fused LSTM returns c of the last step alone.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from memtrain.networks.cells.base import Cell, halved, refuse_rms
from memtrain.networks.memory import MemoryNormalization


class LSTMCell(Cell):
    """An LSTM with memory `[c | h]`, each half of the `K * D` numbers; `memory_normalization` must be tanh.

    Under BPTT alone c may leave (-1, 1), and so count steps. SMT and DMT train it to stay inside, as the teacher's
    memories do.

    Args:
        width: features of a memory token and of the embedding, D.
        memory_tokens: tokens of a memory, K; `K * D` must be even.
        memory_normalization: must be tanh.
        forget_bias: added to the forget gate's bias at the start, so that a new cell remembers.
        accept_rms: take rms memories although no h can equal them; only to study the reported collapse.
    """

    gated = True
    update_depth = 3  # product, gates and c, tanh of c

    def __init__(
        self,
        width: int,
        memory_tokens: int,
        memory_normalization: MemoryNormalization,
        forget_bias: float = 1.0,
        accept_rms: bool = False,
    ) -> None:
        super().__init__(width, memory_tokens, memory_normalization)
        refuse_rms("LSTMCell", memory_normalization, accept_rms)
        self.hidden = halved("an LSTMCell", self.memory.size)
        self.lstm = nn.LSTMCell(width, self.hidden)
        with torch.no_grad():
            self.lstm.bias_ih[self.hidden : 2 * self.hidden] += forget_bias

    def input_parameters(self) -> list[Tensor]:
        """See `Cell.input_parameters`."""
        return [self.lstm.weight_ih, self.lstm.bias_ih]

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        """See `Cell.step`; in the memory's own precision: CUDA's autocast would keep c in 16 bits."""
        c, h = memory.flatten(1).chunk(2, dim=1)
        with torch.autocast(memory.device.type, enabled=False):
            h, c = self.lstm(embedding.to(memory.dtype), (h, c))
        return torch.cat([c, h], dim=1).view_as(memory)

    def elementary_update(self, memory: Tensor, projected: Tensor) -> Tensor:
        """See `Cell.elementary_update`; the equations of `torch.nn.LSTMCell`."""
        c, h = memory.flatten(1).chunk(2, dim=1)
        with torch.autocast(memory.device.type, enabled=False):
            seen = linear(projected.to(memory.dtype), self.lstm.weight_ih, self.lstm.bias_ih)
            take, forget, new, show = (seen + linear(h, self.lstm.weight_hh, self.lstm.bias_hh)).chunk(4, dim=1)
            c = forget.sigmoid() * c + take.sigmoid() * new.tanh()
            return torch.cat([c, show.sigmoid() * c.tanh()], dim=1).view_as(memory)
