"""Foresight: what is known of the next step, before it is observed, enters what is read from a memory."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memtrain.networks.memory import EPSILON


class Foresight(nn.Module):
    """Features of `m_t`, and `u_{t+1}`, to features of the same size: one hidden layer beside a residual connection.

    With it a readout is `g(m_t, u_{t+1})`; u is a covariate known in advance, or the action taken at t.

    Args:
        features: F, also units of the hidden layer.
        known: numbers that are known ahead, U.
    """

    def __init__(self, features: int, known: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(features, eps=EPSILON)
        self.hidden = nn.Linear(features + known, features)
        self.out = nn.Linear(features, features, bias=False)

    def forward(self, features: Tensor, ahead: Tensor) -> Tensor:
        """`[..., F]` and `u_{t+1}` `[..., U]` with the same leading sizes to `[..., F]`."""
        normalized = self.norm(features)
        hidden = self.hidden(torch.cat([normalized, ahead.to(normalized.dtype)], dim=-1))
        return features + self.out(F.gelu(hidden))
