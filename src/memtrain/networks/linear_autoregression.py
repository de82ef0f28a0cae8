"""LinearAutoregression: the last rows, and what is known ahead, linearly to the next: the least that a forecast is."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memtrain.limits import require_at_least
from memtrain.networks.channels import Channels
from memtrain.networks.encoder import Tokens
from memtrain.networks.flops import product_flops
from memtrain.networks.interface import Interface
from memtrain.networks.sequence_model import Stream


class LinearAutoregression(nn.Module):
    """One linear map from `x_{t-lags+1} .. x_t` and `u_{t+1}` to the parameters of `y_t`; a `StreamingModel`.

    Each x is a packed row as it is, scaled values and flags, or a token as one flag of V. What was before the first
    row counts as missing. Its state are the rows that it looks back on, `[B, lags - 1, F]`.

    Args:
        interface: what goes in and what comes out.
        lags: how many rows it looks back on.

    Raises:
        ValueError: for no lags, or inputs with a channel of categories.
    """

    def __init__(self, interface: Interface, lags: int = 24) -> None:
        super().__init__()
        require_at_least("model.model.init_args.lags", lags, 1, example=24)
        inputs = interface.inputs
        if isinstance(inputs, Channels):
            features = 2 * len(inputs.channels)
            for channel in inputs.channels:
                if channel.categories:
                    raise ValueError(
                        f"model.model is LinearAutoregression, which takes numbers, but channel {channel.name} is of "
                        "categories; leave it out."
                    )
        elif isinstance(inputs, Tokens):
            features = inputs.vocabulary_size
        else:
            raise ValueError(f"model.model is LinearAutoregression, which takes channels or tokens, but got {inputs}.")
        self.lags, self.features = lags, features
        self.tokens = isinstance(inputs, Tokens)
        self.head = interface.outputs.head(lags * features + inputs.known_ahead)  # without `Foresight`: linear in u too

    def outputs(self, inputs: Tensor, timesteps: Tensor, ahead: Tensor | None = None) -> Tensor:
        """See `SequenceModel.outputs`."""
        rows = F.pad(self._rows(inputs), (0, 0, self.lags - 1, 0))
        back = torch.arange(self.lags, device=timesteps.device)
        return self._parameters_after(rows[:, timesteps[:, None] + back], ahead)

    def prepared(self) -> Stream:
        """See `StreamingModel.prepared`; every row costs the same."""
        return self._take_in

    def sequential_flops(self, length: int) -> int:
        """See `SequenceModel.sequential_flops`: one product, however long the past."""
        return product_flops(self.head)

    def sequential_depth(self, length: int) -> int:
        """Dependent operations of a forward pass: the product."""
        return 1

    def _take_in(self, inputs: Tensor, state: Tensor | None, ahead: Tensor | None = None) -> tuple[Tensor, Tensor]:
        row = self._rows(inputs)
        if state is None:
            state = row.new_zeros(len(row), self.lags - 1, self.features)
        rows = torch.cat([state, row.unsqueeze(1)], dim=1)
        return self._parameters_after(rows, ahead), rows[:, 1:]

    def _rows(self, inputs: Tensor) -> Tensor:
        """Inputs as numbers, `[..., F]`."""
        kind = next(self.head.parameters()).dtype
        return F.one_hot(inputs, self.features).to(kind) if self.tokens else inputs.to(kind)

    def _parameters_after(self, rows: Tensor, ahead: Tensor | None) -> Tensor:
        """Parameters of the target after rows `[..., lags, F]`, oldest first."""
        past = rows.flatten(-2)
        known = [] if ahead is None else [ahead.to(past.dtype)]
        return self.head(torch.cat([past, *known], dim=-1))
