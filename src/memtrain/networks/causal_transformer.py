"""CausalTransformer: a plain causal Transformer language model, the baseline whose memory grows with the past."""

import torch
from torch import Tensor, nn

from memtrain.limits import require_at_least
from memtrain.networks.flops import product_flops
from memtrain.networks.interface import Interface
from memtrain.networks.sequence_model import Stream
from memtrain.networks.transformer import Transformer


class CausalTransformer(nn.Module):
    """Embedding, causal blocks with rotary positions, linear output; a `StreamingModel`.

    Its state is the keys and values of all tokens so far, `[B, L, 2, S, H, d]` after S tokens: it grows by
    `2 * L * H * d` numbers a token.

    Args:
        interface: what goes in and what comes out.
        width: features of a token, D.
        layers: number of blocks, L.
        heads: attention heads of a block, H.
        head_dimension: features of a head, d; even, for they are rotated in pairs.

    Raises:
        ValueError: for a size below 1 and an odd `head_dimension`.
    """

    def __init__(
        self, interface: Interface, width: int = 64, layers: int = 4, heads: int = 4, head_dimension: int = 16
    ) -> None:
        super().__init__()
        sizes = {"width": width, "layers": layers, "heads": heads, "head_dimension": head_dimension}
        for name, size in sizes.items():
            require_at_least(f"model.model.init_args.{name}", size, 1, example=4)
        self.embedding = interface.inputs.encoder(width)
        self.transformer = Transformer(width, layers, heads, head_dimension)
        self.head = interface.head(width)

    def outputs(self, inputs: Tensor, timesteps: Tensor, ahead: Tensor | None = None) -> Tensor:
        """See `SequenceModel.outputs`."""
        length, timesteps = inputs.shape[1], timesteps.to(inputs.device)
        positions = torch.arange(length, device=inputs.device)
        # The last block computes only what is asked for, but needs a mask then, which excludes the fastest kernels.
        few = len(timesteps) < length
        tokens = self.transformer(self.embedding(inputs), positions, causal=True, outputs=timesteps if few else None)
        return self.head(tokens if few else tokens[:, timesteps], ahead)

    def prepared(self) -> Stream:
        """See `StreamingModel.prepared`; a token costs as much as it attends to."""
        return self._take_in

    def sequential_flops(self, length: int) -> int:
        """See `SequenceModel.sequential_flops`: `L * q(T) + output`."""
        block = self.transformer.blocks[0]
        attended = 4 * length * block.attention.inner
        return len(self.transformer.blocks) * (product_flops(block) + attended) + product_flops(self.head)

    def _take_in(self, token: Tensor, state: Tensor | None, ahead: Tensor | None = None) -> tuple[Tensor, Tensor]:
        position = 0 if state is None else state.shape[3]
        rotary = self.transformer.rotary(torch.tensor([position], device=token.device))
        x, after = self.embedding(token).unsqueeze(1), []
        for layer, block in enumerate(self.transformer.blocks):
            q, k, v = block.project(x, rotary)
            seen = torch.stack([k, v], dim=1)  # [B, 2, 1, H, d]
            if state is not None:
                seen = torch.cat([state[:, layer], seen], dim=2)
            keys, values = seen.unbind(1)
            x = block.update(x, q, keys, values)
            after.append(seen)
        return self.head(self.transformer.norm(x).squeeze(1), ahead), torch.stack(after, dim=1)
