"""Action history: dead reckoning from actions, with a rare and inexact fix."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from memtrain.data.probes.numbers import NumberProbe, Reals, Series, gaussian_losses, pairs_of_rows
from memtrain.limits import require_at_least
from memtrain.networks.channels import Channel
from memtrain.networks.heads import Gaussian

STEP, SLIP, FIX_NOISE, TARGET_NOISE = 0.1, 0.02, 0.1, 0.02
"""Standard deviations in each of the two directions: of an action, of what it misses, of a fix, of a target."""


def action_history(generator: np.random.Generator, samples: int, *, length: int, fix_every: int) -> Series:
    """Draw steps in the plane, and now and then a fix of the position; the target is the next row's position.

    Every series begins at the origin, and the action of a row has led there. For example, in one of the two
    directions, with `length=4` and neither slips nor noise::

        fix      -    -    0.3  -    -         (-: missing)
        action   -    0.1  0.2 -0.1  0.2
        targets  0.1  0.3  0.2  0.4

    Args:
        generator: source of all randomness.
        samples: number of series.
        length: timesteps T.
        fix_every: one row in so many has a fix, at random.

    Returns:
        Channels fix_x, fix_y, action_x and action_y, targets `[samples, T, 2]`.
    """
    shape = (samples, length + 1, 2)
    actions = STEP * generator.standard_normal(shape)
    moves = actions + SLIP * generator.standard_normal(shape)
    moves[:, 0], actions[:, 0] = 0.0, np.nan  # no action has led to the origin
    positions = moves.cumsum(axis=1)
    seen = generator.random((samples, length + 1, 1)) < 1 / fix_every
    fixes = np.where(seen, positions + FIX_NOISE * generator.standard_normal(shape), np.nan)
    targets = positions[:, 1:] + TARGET_NOISE * generator.standard_normal((samples, length, 2))
    rows = np.concatenate([fixes, actions], axis=-1)
    return Series(rows, targets, np.ones(targets.shape, dtype=np.bool_), np.zeros((samples, length), dtype=np.int64))


def kalman_losses(rows: Reals, targets: Reals, variance: Reals) -> Reals:
    """Losses of the positions of rows 1, 2, ... given all rows before and the action that leads there.

    The Kalman filter of a random walk with known moves, exact; both directions have the same variance.

    Args:
        rows: as of `action_history`, `[B, R, 4]`.
        targets: `[B, R - 1, 2]`.
        variance: of the position before row 0, whose mean is the origin, `[B]`.

    Returns:
        Nats, `[B, R - 1, 2]`.
    """
    fixes, actions = rows[..., :2], rows[..., 2:]
    missed = SLIP**2 * ~np.isnan(actions[..., 0])
    precision = ~np.isnan(fixes[..., 0]) / FIX_NOISE**2
    fixes, actions = np.nan_to_num(fixes), np.nan_to_num(actions)
    mean, losses = np.zeros((len(rows), 2)), np.empty_like(targets)
    for t in range(rows.shape[1]):
        mean, variance = mean + actions[:, t], variance + missed[:, t]
        if t > 0:
            losses[:, t - 1] = gaussian_losses(targets[:, t - 1], mean, (variance + TARGET_NOISE**2)[:, None])
        gain = variance * precision[:, t] / (1 + variance * precision[:, t])
        mean, variance = mean + gain[:, None] * (fixes[:, t] - mean), (1 - gain) * variance
    return losses


class ActionHistory(NumberProbe):
    """Action history probe: the position is the sum of all actions, corrected by what few fixes there are.

    Args:
        length: timesteps T. The difficulty: so many actions are to be summed.
        fix_every: one row in so many has a fix, at random; more makes the sum of actions matter longer.
        **options: see `SequenceDataModule`.
    """

    difficulty_name = "length"

    def __init__(self, length: int = 64, fix_every: int = 32, **options: Any) -> None:
        require_at_least("data.length", length, 2, example=64)
        require_at_least("data.fix_every", fix_every, 1, example=32)
        self.fix_every = fix_every
        super().__init__(length, **options)

    def channels(self) -> list[Channel]:
        """The fix, most often missing, and the action, both in the plane."""
        fixes = [Channel(f"fix_{axis}") for axis in "xy"]
        return [*fixes, *(Channel(f"action_{axis}", "action", scale=STEP) for axis in "xy")]

    def outputs(self) -> Gaussian:
        """The next position."""
        return Gaussian([Channel("x"), Channel("y")])

    def generator(self) -> Callable[[np.random.Generator, int], Series]:
        """Return `action_history` with the options filled in."""
        return partial(action_history, length=self.length, fix_every=self.fix_every)

    def bayes_losses(self, series: Series) -> Reals:
        """The losses of the Kalman filter, from the origin on."""
        return kalman_losses(series.rows, series.targets, np.zeros(len(series.rows)))

    def memoryless_losses(self, series: Series) -> Reals:
        """The losses of the filter that begins anew at each row, with what the time says of the distance walked."""
        walked = np.maximum(np.arange(self.length) - 1, 0) * (STEP**2 + SLIP**2)  # before row t: t - 1 actions
        variance = np.tile(walked, len(series.rows))
        targets = series.targets.reshape(-1, 1, 2)
        return kalman_losses(pairs_of_rows(series.rows), targets, variance).reshape(series.targets.shape)
