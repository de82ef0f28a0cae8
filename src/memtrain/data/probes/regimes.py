"""Regimes: a hidden Markov model driven by a known input, with a rare and wilder regime."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from memtrain.data.probes.numbers import NumberProbe, Reals, Series, gaussian_losses, pairs_of_rows
from memtrain.limits import require_at_least
from memtrain.networks.channels import Channel
from memtrain.networks.heads import Mixture

MEANS = np.array([-1.0, 1.0, 0.0])
DEVIATIONS = np.array([1.0, 1.0, 3.0])
"""Of the values in the states low, high and rare."""
RARE = 2
PULSE_RATE = 0.1
"""Share of timesteps at which the input is 1."""
SWITCH = (0.02, 0.9)
"""Probability of going from low to high, or back, without and with a pulse."""
RARE_STEPS = 10
"""Mean length of a visit to the rare state, which only a pulse can begin."""


def stationary(rare: int) -> Reals:
    """Probability of each state, at any time, `[3]`."""
    return np.array([(1 - 1 / rare) / 2, (1 - 1 / rare) / 2, 1 / rare])


def transitions(rare: int) -> Reals:
    """Probability of each next state, by input and state, `[2, 3, 3]`."""
    leave = 1 / RARE_STEPS
    enter = np.array([0.0, leave / (rare - 1) / PULSE_RATE])  # as often as it is left, with the input averaged
    change = np.array(SWITCH) * (1 - enter)
    stay = 1 - enter - change
    back = np.full(2, leave / 2)
    states = [[stay, change, enter], [change, stay, enter], [back, back, 1 - 2 * back]]
    return np.moveaxis(np.array(states), -1, 0)


def regimes(generator: np.random.Generator, samples: int, *, length: int, rare: int) -> Series:
    """Draw pulses, the hidden states that they drive, and a value from each state; the target is the next value.

    The pulse of a row drives the state from the row before to its own, and is known ahead. For example, with
    `length=5`, and the states low, low, high, high, rare, rare behind the rows 0 to 5::

        value    -1.2 -0.3  0.8  1.1  4.0 -3.1
        pulse     0    0    1    0    1    0
        targets  -0.3  0.8  1.1  4.0 -3.1
        regime    0    0    0    1    1

    Args:
        generator: source of all randomness.
        samples: number of series.
        length: timesteps T.
        rare: one timestep in so many is in the rare state.

    Returns:
        Channels value and pulse, targets `[samples, T, 1]`, regime 1 where the target's state is the rare one.
    """
    pulses = (generator.random((samples, length + 1)) < PULSE_RATE).astype(np.int64)
    chance = generator.random((length + 2, samples))
    noise = generator.standard_normal((samples, length + 1))
    bounds = transitions(rare).cumsum(axis=-1)[..., :-1]
    state = (chance[0][:, None] >= stationary(rare).cumsum()[:-1]).sum(axis=-1)
    states = np.empty((samples, length + 1), dtype=np.int64)
    for t in range(length + 1):
        state = (chance[t + 1][:, None] >= bounds[pulses[:, t], state]).sum(axis=-1)
        states[:, t] = state
    values = MEANS[states] + DEVIATIONS[states] * noise
    targets = values[:, 1:, None]
    regime = (states[:, 1:] == RARE).astype(np.int64)
    return Series(np.stack([values, pulses], axis=-1), targets, np.ones(targets.shape, dtype=np.bool_), regime)


def filter_losses(values: Reals, pulses: NDArray[np.int64], rare: int) -> Reals:
    """Loss of each value under its exact distribution given all values before it and all pulses up to its own.

    The forward recursion of a hidden Markov model, in logarithms, from the stationary distribution before row 0.

    Args:
        values: `[B, R]`.
        pulses: `[B, R]`.
        rare: see `regimes`.

    Returns:
        Nats, `[B, R]`.
    """
    with np.errstate(divide="ignore"):  # a rare state cannot begin without a pulse
        moves = np.log(transitions(rare))
    likelihoods = -gaussian_losses(values[..., None], MEANS, DEVIATIONS**2)
    belief = np.broadcast_to(np.log(stationary(rare)), (len(values), 3))
    losses = np.empty_like(values)
    for t in range(values.shape[1]):
        prior = np.logaddexp.reduce(belief[:, :, None] + moves[pulses[:, t]], axis=1)
        joint = prior + likelihoods[:, t]
        losses[:, t] = -np.logaddexp.reduce(joint, axis=-1)
        belief = joint + losses[:, t, None]
    return losses


class Regimes(NumberProbe):
    """Regimes probe: who remembers the rare regime predicts within it; who keeps count of pulses predicts outside.

    The states low and high last, and a pulse most often exchanges them; now and then it begins a rare regime of about
    10 steps, in which values scatter three times as far. A single value tells the state only vaguely.

    Args:
        rare: one timestep in so many is in the rare regime, at least 3; 10, 33, 100 and 333 are 10, 3, 1 and 0.3 %. The
            difficulty.
        length: timesteps T.
        **options: see `SequenceDataModule`.
    """

    difficulty_name = "rare"
    regime_names: ClassVar[list[str]] = ["rare"]

    def __init__(self, rare: int = 100, length: int = 128, **options: Any) -> None:
        require_at_least("data.rare", rare, 3, example=100)
        require_at_least("data.length", length, 2, example=128)
        self.rare = rare
        super().__init__(length, **options)

    def channels(self) -> list[Channel]:
        """The value, and the pulse that is known ahead."""
        return [Channel("value"), Channel("pulse", "known")]

    def outputs(self) -> Mixture:
        """The next value; its exact distribution is a mixture of three normal ones."""
        return Mixture([Channel("value")], regimes=self.regime_names)

    def generator(self) -> Callable[[np.random.Generator, int], Series]:
        """Return `regimes` with the options filled in."""
        return partial(regimes, length=self.length, rare=self.rare)

    def bayes_losses(self, series: Series) -> Reals:
        """The losses of the Bayes filter."""
        return self._filtered(series.rows)[:, 1:, None]

    def memoryless_losses(self, series: Series) -> Reals:
        """The losses of the filter that begins anew at each row."""
        return self._filtered(pairs_of_rows(series.rows))[:, 1].reshape(series.targets.shape)

    def _filtered(self, rows: Reals) -> Reals:
        return filter_losses(rows[..., 0], rows[..., 1].astype(np.int64), self.rare)
