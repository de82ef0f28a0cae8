"""Forecasting: sample paths of the rows to come, from a model that is fed its own draws."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtrain.networks.channels import Channels
from memtrain.networks.sequence_model import Streaming

PIECE = 256
"""Timesteps of a history that are packed at a time."""
Rows = NDArray[np.float64]


class Series(NamedTuple):
    """B series with what is known of their next H rows, in the columns' units, NaN where missing.

    Attributes:
        rows: all of one series after all of another, `[N, C]`.
        starts: first row of each, int64 `[B]`.
        lengths: rows of each that have been observed, int64 `[B]`, at least 1; H rows follow them, in which what is not
            known ahead is missing.
        horizon: H.
    """

    rows: Rows
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    horizon: int


@torch.inference_mode()
def draw_paths(
    model: Streaming,
    channels: Channels,
    targets: list[int],
    series: Series,
    samples: int,
    in_units: Callable[[Rows], Rows],
    generator: torch.Generator,
) -> Rows:
    """Take in the histories, then draw row after row, each given the draws before; at constant memory and cost a row.

    Args:
        model: predicts the next row; its state is a tensor whose first axis is that of the series.
        channels: of the rows.
        targets: which of them are drawn.
        series: histories, and what is known of the rows to come.
        samples: paths for each series, S.
        in_units: draws of the model's head to the columns' units, `[..., len(targets)]`.
        generator: a CPU generator.

    Returns:
        `[B, S, H, len(targets)]`, in the columns' units.
    """
    stream, known = model.prepared(), channels.known_ahead > 0

    def known_of(rows: Rows) -> Tensor | None:
        return torch.from_numpy(channels.pack_ahead(rows)) if known else None

    parameters, state = take_in(model, channels, series)
    parameters, state = (tensor.repeat_interleave(samples, 0) for tensor in (parameters, state))
    paths = []
    for ahead in range(series.horizon):
        drawn = model.head.sample(parameters, 1.0, generator)
        values = in_units(drawn.double().numpy())
        paths.append(values)
        if ahead + 1 < series.horizon:
            at = np.repeat(series.starts + series.lengths + ahead, samples)
            rows = series.rows[at]
            rows[:, targets] = values
            inputs = torch.from_numpy(channels.pack(rows))
            parameters, state = stream(inputs, state, known_of(series.rows[at + 1]))
    return np.stack(paths, axis=1).reshape(len(series.starts), samples, series.horizon, len(targets))


def take_in(model: Streaming, channels: Channels, series: Series) -> tuple[Tensor, Tensor]:
    """Parameters of the first row to come of each series, `[B, P]`, and the state before it.

    All series begin together; one that has ended keeps its state until the longest has.
    """
    stream, state, kept = model.prepared(), None, None
    lengths, longest = torch.from_numpy(series.lengths), int(series.lengths.max())
    ends = series.starts + series.lengths
    for begin in range(0, longest, PIECE):
        times = np.arange(begin, min(begin + PIECE, longest))
        at = np.minimum(series.starts[:, None] + times, ends[:, None] - 1)
        inputs = torch.from_numpy(channels.pack(series.rows[at]))
        ahead = torch.from_numpy(channels.pack_ahead(series.rows[at + 1])) if channels.known_ahead else None
        for t in range(len(times)):
            parameters, after = stream(inputs[:, t], state, None if ahead is None else ahead[:, t])
            going_on = lengths > begin + t
            kept = parameters if kept is None else chosen(going_on, parameters, kept)
            state = after if state is None else chosen(going_on, after, state)
    assert kept is not None
    assert state is not None
    return kept, state


def chosen(first: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Rows of `one` where `first`, bool `[B]`, is True, else of `other`, `[B, ...]`."""
    return torch.where(first.view(-1, *[1] * (one.dim() - 1)), one, other)
