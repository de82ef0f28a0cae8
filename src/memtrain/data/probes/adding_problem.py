"""Adding problem: add the two numbers that were marked."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import special

from memtrain.data.probes.numbers import NumberProbe, Reals, Series, gaussian_losses
from memtrain.limits import require_at_least, require_between
from memtrain.networks.channels import Channel
from memtrain.networks.heads import Gaussian


def adding_problem(generator: np.random.Generator, samples: int, *, length: int, noise: float) -> Series:
    """Draw numbers from 0 to 1 and mark one in each half; the target at the last step is their sum, and some noise.

    For example, with `length=6` and the noise 0.03::

        value    0.2  0.9  0.4  0.6  0.1  0.7
        marker   0    1    0    0    1    0
        targets  -    -    -    -    -    1.03      (-: no target)

    Args:
        generator: source of all randomness.
        samples: number of series.
        length: timesteps T; the first half has T // 2 of them.
        noise: standard deviation of what is added to the sum, without which a density has no best value.

    Returns:
        Channels value and marker, targets `[samples, T, 1]`. Source: Hochreiter and Schmidhuber (1997), Section 5.4.
    """
    values = generator.random((samples, length + 1))
    marked = [
        generator.integers(0, length // 2, samples),
        generator.integers(length // 2, length, samples),
    ]
    errors = noise * generator.standard_normal(samples)
    markers = np.zeros_like(values)
    rows = np.arange(samples)
    for place in marked:
        markers[rows, place] = 1.0
    targets = np.zeros((samples, length, 1))
    targets[:, -1, 0] = (values * markers).sum(axis=1) + errors
    mask = np.zeros(targets.shape, dtype=np.bool_)
    mask[:, -1] = True
    return Series(np.stack([values, markers], axis=-1), targets, mask, np.zeros((samples, length), dtype=np.int64))


def smoothed_uniforms(values: Reals, count: int, noise: float) -> Reals:
    """Density of a sum of one or two numbers, uniform from 0 to 1, and normal noise.

    The sum of n uniform numbers has as its density the n-th difference of an n-fold integral of the noise's density.

    Args:
        values: where, any shape.
        count: 1 or 2.
        noise: standard deviation.
    """
    scaled = (np.asarray(values)[..., None] - np.arange(count + 1)) / noise
    integral = special.ndtr(scaled)
    if count == 2:
        integral = noise * (scaled * integral + np.exp(-(scaled**2) / 2) / np.sqrt(2 * np.pi))
    density = integral @ np.array({1: [1.0, -1.0], 2: [1.0, -2.0, 1.0]}[count])
    return np.maximum(density, np.finfo(np.float64).tiny)  # the differences of the far tail vanish


class AddingProblem(NumberProbe):
    """Adding problem probe: the lone late target is a sum of two numbers that were marked long before.

    A predictor that does not look has a mean squared error of 1/6 (and the noise's variance) with the mean 1.

    Args:
        length: timesteps T, at least 4. The difficulty.
        noise: standard deviation of the noise in the target; the best possible loss is that of this noise alone.
        **options: see `SequenceDataModule`.
    """

    difficulty_name = "length"

    def __init__(self, length: int = 64, noise: float = 0.05, **options: Any) -> None:
        require_at_least("data.length", length, 4, example=64)
        require_between("data.noise", noise, 0.01, 10, example=0.05)
        self.noise = noise
        super().__init__(length, **options)

    def channels(self) -> list[Channel]:
        """The number, and whether it is marked."""
        return [Channel("value"), Channel("marker")]

    def outputs(self) -> Gaussian:
        """The sum."""
        return Gaussian([Channel("sum")])

    def generator(self) -> Callable[[np.random.Generator, int], Series]:
        """Return `adding_problem` with the options filled in."""
        return partial(adding_problem, length=self.length, noise=self.noise)

    def bayes_losses(self, series: Series) -> Reals:
        """The loss under the normal distribution around the sum of the marked values."""
        values, markers = series.rows[..., 0], series.rows[..., 1]
        return gaussian_losses(series.targets, (values * markers).sum(axis=1)[:, None, None], self.noise**2)

    def memoryless_losses(self, series: Series) -> Reals:
        """The loss under the sum of two uniform numbers, one of which is known where the last row is marked."""
        value, marker = np.moveaxis(series.rows[:, self.length - 1], -1, 0)
        target = series.targets[:, -1, 0]
        one_unknown = smoothed_uniforms(target - value, 1, self.noise)
        density = np.where(marker > 0, one_unknown, smoothed_uniforms(target, 2, self.noise))
        return np.broadcast_to(-np.log(density)[:, None, None], series.targets.shape)
