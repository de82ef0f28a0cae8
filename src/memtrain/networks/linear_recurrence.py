"""LinearRecurrence: a stack of diagonal linear recurrences, the baseline that trains in parallel by construction."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from memtrain.limits import require_at_least
from memtrain.networks.cells.structured import spread_timescales
from memtrain.networks.flops import product_flops
from memtrain.networks.interface import Interface
from memtrain.networks.memory import EPSILON
from memtrain.networks.sequence_model import Stream
from memtrain.scan import Backend, linear_recurrence, scan_flops

BACKEND: Backend = "chunked"
"""How the recurrences of all timesteps are solved."""


class RecurrentBlock(nn.Module):
    """A minGRU and a feed-forward four times as wide, each behind a norm and beside a residual connection.

    `h_t = (1 - z_t) h_{t-1} + z_t c_t` with `z_t = sigmoid(W_z x_t + b_z)` and `c_t = W_c x_t + b_c` ("Were RNNs All We
    Needed?", arXiv 2410.01201, Section 3.1). Gate and candidate depend on the input alone, so the recurrence is linear
    in h. It runs in float32 or better: in 16 bits `1 - z` would round to 1 where a memory is long.

    Args:
        width: features of a token, D.
        units: numbers of the state h.
        longest_memory: steps that the slowest number of the state remembers at the start.
    """

    def __init__(self, width: int, units: int, longest_memory: int) -> None:
        super().__init__()
        self.recurrence_norm = nn.RMSNorm(width, eps=EPSILON)
        self.gate, self.candidate = nn.Linear(width, units), nn.Linear(width, units)
        self.out = nn.Linear(units, width, bias=False)
        self.feed_forward_norm = nn.RMSNorm(width, eps=EPSILON)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        with torch.no_grad():
            self.gate.bias.copy_(-spread_timescales(units, longest_memory))  # 1 - z is the forget gate

    def forward(self, x: Tensor) -> Tensor:
        """All timesteps at once, from `h_{-1} = 0`: `[B, T, D]` to `[B, T, D]`."""
        z, c = self._project(x)
        return self._update(x, linear_recurrence(1 - z, z * c, backend=BACKEND))

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One timestep: `[B, D]` and `h_{t-1}` `[B, units]` to `[B, D]` and `h_t`."""
        z, c = self._project(x)
        state = (1 - z) * state + z * c
        return self._update(x, state), state

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Gate z and candidate c, `[..., units]`."""
        x = self.recurrence_norm(x)
        gate, candidate = self.gate(x), self.candidate(x)
        exact = torch.promote_types(gate.dtype, torch.float32)
        return gate.to(exact).sigmoid(), candidate.to(exact)

    def _update(self, x: Tensor, states: Tensor) -> Tensor:
        """The rest of the block, given the states `[..., units]` at the tokens `[..., D]`."""
        x = x + self.out(states.to(x.dtype))
        return x + self.feed_forward(self.feed_forward_norm(x))


class LinearRecurrence(nn.Module):
    """Embedding, recurrent blocks, final norm, linear output; a `StreamingModel`.

    Its state is that of all blocks, `[B, L, units]`: of one size however long the past.

    Args:
        interface: what goes in and what comes out.
        width: features of a token, D.
        layers: number of blocks, L.
        expansion: numbers of a block's state for each feature of a token; the whole memory has
            `layers * expansion * width` numbers.
        longest_memory: steps that the slowest number of a state remembers at the start; raise it for longer
            dependencies.

    Raises:
        ValueError: for a size that cannot be.
    """

    def __init__(
        self, interface: Interface, width: int = 64, layers: int = 4, expansion: int = 1, longest_memory: int = 16
    ) -> None:
        super().__init__()
        for name, size in {"width": width, "layers": layers, "expansion": expansion}.items():
            require_at_least(f"model.model.init_args.{name}", size, 1, example=4)
        require_at_least("model.model.init_args.longest_memory", longest_memory, 2, example=16)
        self.units = expansion * width
        self.embedding = interface.inputs.encoder(width)
        blocks = nn.ModuleList(RecurrentBlock(width, self.units, longest_memory) for _ in range(layers))
        self.blocks: Sequence[RecurrentBlock] = blocks  # type: ignore[assignment]  # torch does not say what a list holds
        self.norm = nn.RMSNorm(width, eps=EPSILON)
        self.head = interface.head(width)

    def outputs(self, inputs: Tensor, timesteps: Tensor, ahead: Tensor | None = None) -> Tensor:
        """See `SequenceModel.outputs`."""
        x = self.embedding(inputs)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, timesteps]), ahead)

    def prepared(self) -> Stream:
        """See `StreamingModel.prepared`; every token costs the same."""
        return self._take_in

    def sequential_flops(self, length: int) -> int:
        """See `SequenceModel.sequential_flops`: `L * (2 * P_block + scan) + output`.

        The final norm is left out, as in a Transformer.
        """
        scan = scan_flops(self.units, 1, length, BACKEND)
        return sum(product_flops(block) + scan for block in self.blocks) + product_flops(self.head)

    def _take_in(self, token: Tensor, state: Tensor | None, ahead: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, after = self.embedding(token), []
        if state is None:
            state = x.new_zeros(len(x), len(self.blocks), self.units)
        for block, before in zip(self.blocks, state.unbind(1), strict=True):
            x, kept = block.step(x, before)
            after.append(kept)
        return self.head(self.norm(x), ahead), torch.stack(after, dim=1)
