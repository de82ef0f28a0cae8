"""Channels: inputs that are numbers: measurements, covariates, actions, categories, any of which may be missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from memtrain.limits import require_at_least
from memtrain.networks.encoder import InputDescription, InputEncoder

Role = Literal["observed", "known", "action"]
Numbers = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Channel:
    """One column of numbers, with the scale that the training split gave it.

    Args:
        name: of the column.
        role: observed: seen at t. known: a covariate that is known one step ahead, as the hour of the day or the time
            since the last row. action: what was done after the row before, and has led to this one. Roles known and
            action make up `u_{t+1}`.
        categories: number of different values of a column of categories, coded 0, 1, 2 and so on; 0 for numbers.
        center: subtracted from a number, in the column's unit.
        scale: what the rest is divided by, in the column's unit.
        asinh: take the inverse hyperbolic sine of the result: linear near 0, logarithmic far out, for heavy tails.
        unit: of the column, for people.
    """

    name: str
    role: Role = "observed"
    categories: int = 0
    center: float = 0.0
    scale: float = 1.0
    asinh: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        """Refuse a channel that no number can go through."""
        if self.role not in get_args(Role):
            raise ValueError(f"The role of channel {self.name} is {self.role!r}, but must be one of {get_args(Role)}.")
        require_at_least(f"categories of channel {self.name}", self.categories, 0, example="0 for numbers")
        if not (np.isfinite(self.center) and np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(
                f"Channel {self.name} has center {self.center} and scale {self.scale}, but both must be finite and the "
                "scale above 0; leave out a column without finite values."
            )

    @property
    def ahead(self) -> bool:
        """Whether it is known of the next step before that is observed."""
        return self.role != "observed"

    def scaled(self, values: Numbers) -> Numbers:
        """Values in the column's unit to what networks see, float64; codes of categories stay."""
        values = np.asarray(values, dtype=np.float64)
        if self.categories:
            return values
        shifted = (values - self.center) / self.scale
        return np.arcsinh(shifted) if self.asinh else shifted

    def unscaled(self, values: Numbers) -> Numbers:
        """The inverse of `scaled`: what networks say to the column's unit, float64."""
        values = np.asarray(values, dtype=np.float64)
        if self.categories:
            return values
        return (np.sinh(values) if self.asinh else values) * self.scale + self.center


@dataclass(frozen=True)
class Channels(InputDescription):
    """Inputs are C channels, float32 `[B, T, 2 C]`: what `pack` makes.

    Args:
        channels: in the order of the data's columns.
    """

    channels: list[Channel]

    def __post_init__(self) -> None:
        """Refuse inputs without channels, and two channels of one name."""
        names = [channel.name for channel in self.channels]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"channels are {names}, but must be at least one, with different names.")

    @property
    def known_ahead(self) -> int:
        """See `InputDescription.known_ahead`: value and flag of each channel that is known or an action."""
        return self.pack_ahead(np.zeros((1, len(self.channels)))).shape[-1]

    def pack(self, rows: Numbers) -> NDArray[np.float32]:
        """Rows as networks take them in: all values, scaled, 0 where missing, then all flags, 1 where observed.

        Args:
            rows: values in the columns' units and codes of categories, NaN where missing, `[..., C]`.

        Returns:
            float32 `[..., 2 C]`.
        """
        return pack(self.channels, rows)

    def pack_ahead(self, rows: Numbers) -> NDArray[np.float32]:
        """What is known of rows before they are observed, packed likewise, a category as one number for each value.

        Args:
            rows: as for `pack`, all C columns: `u_{t+1}` is made of row t + 1.

        Returns:
            float32 `[..., U]`.
        """
        return np.concatenate(
            [
                one_hot(channel, rows[..., i]) if channel.categories else pack([channel], rows[..., [i]])
                for i, channel in enumerate(self.channels)
                if channel.ahead
            ]
            or [np.zeros((*rows.shape[:-1], 0), np.float32)],
            axis=-1,
        )

    def unobserved(self, inputs: Tensor) -> Tensor:
        """See `InputDescription.unobserved`: packed rows in which all observed channels are missing."""
        kept = torch.tensor([channel.ahead for channel in self.channels] * 2, device=inputs.device)
        return inputs * kept

    def encoder(self, width: int) -> "ChannelEncoder":
        """See `InputDescription.encoder`."""
        return ChannelEncoder(self.channels, width)

    def __str__(self) -> str:
        return f"{len(self.channels)} channels"


def pack(channels: Sequence[Channel], rows: Numbers) -> NDArray[np.float32]:
    """See `Channels.pack`."""
    observed = ~np.isnan(rows)
    values = np.stack([channel.scaled(rows[..., i]) for i, channel in enumerate(channels)], axis=-1)
    return np.concatenate([np.where(observed, values, 0.0), observed], axis=-1).astype(np.float32)


def one_hot(channel: Channel, codes: Numbers) -> NDArray[np.float32]:
    """Codes `[...]`, NaN where missing, to one flag for each category, `[..., categories]`."""
    return (codes[..., None] == np.arange(channel.categories)).astype(np.float32)


class ChannelEncoder(InputEncoder):
    """A linear layer of values and flags, a LayerNorm, and the sum of one learned vector for each category.

    Without the norm, windows in which a channel hardly changes give inputs of 1e10.

    Args:
        channels: see `Channels`.
        width: features of the result, D.
    """

    def __init__(self, channels: Sequence[Channel], width: int) -> None:
        super().__init__()
        categorical = [i for i, channel in enumerate(channels) if channel.categories]
        numeric = [i for i, channel in enumerate(channels) if not channel.categories]
        self.count = len(channels)
        self.numeric, self.categorical = numeric, categorical
        self.linear = nn.Linear(len(numeric) + len(channels), width)
        self.norm = nn.LayerNorm(width)
        self.categories = nn.ModuleList(nn.Embedding(channels[i].categories, width) for i in categorical)

    def forward(self, inputs: Tensor) -> Tensor:
        """Packed channels `[..., 2 C]` to `[..., D]`."""
        values, observed = inputs.split(self.count, dim=-1)
        numbers = torch.cat([values[..., self.numeric], observed], dim=-1)
        embedded = self.norm(self.linear(numbers.to(self.linear.weight.dtype)))
        for i, vectors in zip(self.categorical, self.categories, strict=True):
            embedded = embedded + vectors(values[..., i].long()) * observed[..., i, None].to(embedded.dtype)
        return embedded
