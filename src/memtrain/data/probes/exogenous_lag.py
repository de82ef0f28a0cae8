"""Exogenous lag: a known input acts long after it was seen, another never does."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from memtrain.data.probes.numbers import NumberProbe, Reals, Series, gaussian_losses
from memtrain.limits import require_at_least, require_between
from memtrain.networks.channels import Channel
from memtrain.networks.heads import Gaussian


def exogenous_lag(generator: np.random.Generator, samples: int, *, lag: int, length: int, noise: float) -> Series:
    """Draw two inputs; a value repeats one of them after `lag` steps, with noise; the target is the next value.

    Inputs are known one step ahead, which helps only those who keep them. Values of the first rows come from inputs
    before the series, which no one has seen: no targets. For example, with `lag=3, length=5`, and the inputs
    0.4, 1.0 and -0.7 before row 0::

        value       0.5  0.9 -0.8  1.4 -0.5  0.2
        input       1.3 -0.6  0.2 -0.9  0.8  1.1
        distractor -0.1  0.7 -1.5  0.3  0.9 -0.2
        targets     -    -    1.4 -0.5  0.2         (-: no target)

    Args:
        generator: source of all randomness.
        samples: number of series.
        lag: timesteps L from input to value.
        length: timesteps T.
        noise: standard deviation of the value about the input of L steps before.

    Returns:
        Channels value, input and distractor, targets `[samples, T, 1]`.
    """
    drives = generator.standard_normal((samples, lag + length + 1))  # from row -lag on
    distractor = generator.standard_normal((samples, length + 1))
    values = drives[:, : length + 1] + noise * generator.standard_normal((samples, length + 1))
    rows = np.stack([values, drives[:, lag:], distractor], axis=-1)
    targets = values[:, 1:, None]
    mask = np.broadcast_to((np.arange(length) >= lag - 1)[None, :, None], targets.shape)
    return Series(rows, targets, mask, np.zeros((samples, length), dtype=np.int64))


class ExogenousLag(NumberProbe):
    """Exogenous lag probe: the memory holds the last L inputs, and passes over a distractor that looks alike.

    Args:
        lag: timesteps L from input to value, at least 2. The difficulty: L numbers are in use at any time.
        length: timesteps T, at least `lag`; the first `lag - 1` have no target.
        noise: standard deviation of the value about the input, whose own is 1; the best possible loss is this noise's.
        **options: see `SequenceDataModule`.
    """

    difficulty_name = "lag"

    def __init__(self, lag: int = 16, length: int = 64, noise: float = 0.3, **options: Any) -> None:
        require_at_least("data.lag", lag, 2, example=16)
        require_at_least("data.length", length, lag, example=4 * lag)
        require_between("data.noise", noise, 0.01, 10, example=0.3)
        self.lag, self.noise = lag, noise
        super().__init__(length, **options)

    def channels(self) -> list[Channel]:
        """The value, the input that acts on it, and the one that does not."""
        return [Channel("value"), Channel("input", "known"), Channel("distractor", "known")]

    def outputs(self) -> Gaussian:
        """The next value."""
        return Gaussian([Channel("value")])

    def generator(self) -> Callable[[np.random.Generator, int], Series]:
        """Return `exogenous_lag` with the options filled in."""
        return partial(exogenous_lag, lag=self.lag, length=self.length, noise=self.noise)

    def bayes_losses(self, series: Series) -> Reals:
        """The losses under normal distributions around the input of L steps before."""
        mean = np.zeros(series.targets.shape)
        mean[:, self.lag - 1 :, 0] = series.rows[:, : self.length - self.lag + 1, 1]
        return gaussian_losses(series.targets, mean, self.noise**2)

    def memoryless_losses(self, series: Series) -> Reals:
        """The losses under the marginal distribution: neighboring rows say nothing of each other."""
        return gaussian_losses(series.targets, 0.0, 1 + self.noise**2)
