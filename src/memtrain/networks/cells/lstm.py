"""The LSTM cell: torch's LSTM, whose cell and hidden state together are the memory `[c | h]`.

It is stepped: torch's fused LSTM returns h at every step but c only at the last, and memories need both.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from memtrain.networks.cells.base import Cell, halved, refuse_rms
from memtrain.networks.memory import MemoryNormalization


class LSTMCell(Cell):
    """An LSTM with memory `[c | h]`, each half of the `K * D` numbers; `memory_normalization` must be tanh.

    Alone its c may leave (-1, 1), and count. A teacher's memories cannot, so that SMT and DMT train it to keep c there.

    Args:
        width: features of a memory token and of the embedding, D.
        memory_tokens: tokens of a memory, K; `K * D` must be even.
        memory_normalization: must be tanh.
        forget_bias: added to the forget gate's bias at the start, so that a new cell remembers.
        accept_rms: take rms memories although no h can equal them; only to study the reported collapse.
    """

    gated = True

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
        self.hidden = halved("an LSTMCell", width * memory_tokens)
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

    def elementary_step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        """See `Cell.elementary_step`; the equations of `torch.nn.LSTMCell`."""
        c, h = memory.flatten(1).chunk(2, dim=1)
        with torch.autocast(memory.device.type, enabled=False):
            seen = linear(embedding.to(memory.dtype), self.lstm.weight_ih, self.lstm.bias_ih)
            take, forget, new, show = (seen + linear(h, self.lstm.weight_hh, self.lstm.bias_hh)).chunk(4, dim=1)
            c = forget.sigmoid() * c + take.sigmoid() * new.tanh()
            return torch.cat([c, show.sigmoid() * c.tanh()], dim=1).view_as(memory)
