"""Event timing: a cue makes an event likely, but only after a delay."""

from collections.abc import Callable
from functools import partial
from math import comb
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtrain.batch import SequenceBatch
from memtrain.data.probes.numbers import NumberProbe, Reals, Series
from memtrain.limits import require_at_least, require_between
from memtrain.networks.channels import Channel
from memtrain.networks.heads import Bernoulli

BACKGROUND = 0.01
"""Probability of an event without a cause, at each timestep."""
TRIGGERED = 0.9
"""Probability that a cue triggers an event at all."""

Ages = NDArray[np.int64]
"""Timesteps since the cue that is pending; 0 where none is."""


def hazards_of_ages(delay: int, spread: int) -> Reals:
    """Probability of an event at a row, by the age of the cue there, `[delay + spread + 1]`.

    The event's time after the cue is `delay - spread` and a binomial number of steps, of 2 * spread throws. Its hazard
    is the probability of the event now, given that the cue has triggered none yet.
    """
    times = np.array([comb(2 * spread, k) for k in range(2 * spread + 1)]) / 4**spread * TRIGGERED
    waiting = 1 - np.append(0.0, times.cumsum()[:-1])
    return 1 - (1 - BACKGROUND) * (1 - np.append(np.zeros(delay - spread), times / waiting))


def next_ages(ages: Ages, cues: NDArray[np.bool_], events: NDArray[np.bool_], delay: int, spread: int) -> Ages:
    """Ages at the next row: an event in a cue's window settles it, or the window's end; then a new one counts.

    Args:
        ages: at a row.
        cues: whether the row holds a cue.
        events: whether the row holds an event.
        delay: from cue to window's middle.
        spread: from the window's middle to its ends.
    """
    settled = (ages >= delay - spread) & events | (ages == delay + spread)
    return np.where(ages > 0, np.where(settled, 0, ages + 1), cues.astype(np.int64))


def event_timing(generator: np.random.Generator, samples: int, *, delay: int, spread: int, length: int) -> Series:
    """Draw cues, and the events that they trigger after about `delay` steps; the target is the next row's event.

    No cue comes while another is pending. For example, with `delay=3, spread=1, length=8`::

        cue      0  1  0  0  0  0  0  1  0
        event    0  0  0  0  1  0  0  0  0
        targets  0  0  0  1  0  0  0  0
        regime   0  0  1  1  0  0  0  0       (1: due, 2 to 4 steps after a cue, and not settled)

    Args:
        generator: source of all randomness.
        samples: number of series.
        delay: from a cue to the middle of the window in which it triggers an event; the mean pause before a cue, too.
        spread: timesteps from the window's middle to its ends.
        length: timesteps T.

    Returns:
        Channels cue and event, targets `[samples, T, 1]`, regime 1 where the target lies in a pending cue's window.
    """
    chance = generator.random((2, length + 1, samples))
    hazards = hazards_of_ages(delay, spread)
    cues, events = np.empty((2, length + 1, samples), dtype=np.bool_)
    due = np.empty((length + 1, samples), dtype=np.int64)
    ages = np.zeros(samples, dtype=np.int64)
    for t in range(length + 1):
        cues[t] = (chance[0, t] < 1 / delay) & (ages == 0)
        events[t] = chance[1, t] < hazards[ages]
        due[t] = ages >= delay - spread
        ages = next_ages(ages, cues[t], events[t], delay, spread)
    targets = events.T[:, 1:, None].astype(np.float64)
    rows = np.stack([cues.T, events.T], axis=-1).astype(np.float64)
    return Series(rows, targets, np.ones(targets.shape, dtype=np.bool_), due.T[:, 1:])


def bayes_hazards(rows: Reals, delay: int, spread: int) -> Reals:
    """Probability of an event at each row but the first, given all rows before it, `[B, T + 1, 2]` to `[B, T]`."""
    cues, events = np.moveaxis(rows > 0, -1, 0)
    ages = np.zeros((rows.shape[1], len(rows)), dtype=np.int64)
    for t in range(rows.shape[1] - 1):
        ages[t + 1] = next_ages(ages[t], cues[:, t], events[:, t], delay, spread)
    return hazards_of_ages(delay, spread)[ages[1:].T]


def memoryless_hazards(length: int, delay: int, spread: int) -> Reals:
    """Probability of an event at row t + 1, given t and whether row t holds a cue and an event: `[T, 2, 2]`.

    Exact: the distribution of the cue's age is carried along, T steps for all A ages.
    """
    hazards = hazards_of_ages(delay, spread)
    ages = np.arange(len(hazards))
    cue, event = (flags[..., None] for flags in np.indices((2, 2)))
    pending = np.where(ages > 0, 1.0 * (cue == 0), np.where(cue == 1, 1 / delay, 1 - 1 / delay))
    row_given_age = pending * np.where(event == 1, hazards, 1 - hazards)  # [2, 2, A]
    moved = next_ages(ages, cue == 1, event == 1, delay, spread)  # [2, 2, A]
    distribution = np.eye(len(hazards))[0]
    result = np.empty((length, 2, 2))
    for t in range(length):
        joint = distribution * row_given_age
        result[t] = (joint * hazards[moved]).sum(-1) / np.maximum(joint.sum(-1), np.finfo(np.float64).tiny)
        distribution = np.bincount(moved.ravel(), weights=joint.ravel(), minlength=len(hazards))
    return result


class EventTiming(NumberProbe):
    """Event timing probe: to know when an event is due, the memory counts the steps since the cue.

    Args:
        delay: timesteps from a cue to the middle of the window in which it triggers an event. The difficulty.
        spread: timesteps from the window's middle to its ends, less than `delay`; 0: the event comes exactly then.
        length: timesteps T, at least `delay + spread + 1`, better three times that: at first there is no cue.
        **options: see `SequenceDataModule`.
    """

    difficulty_name = "delay"
    regime_names: ClassVar[list[str]] = ["due"]

    def __init__(self, delay: int = 32, spread: int = 2, length: int = 128, **options: Any) -> None:
        require_at_least("data.delay", delay, 2, example=32)
        require_between("data.spread", spread, 0, delay - 1, example=min(2, delay - 1))
        require_at_least("data.length", length, delay + spread + 1, example=4 * delay)
        self.delay, self.spread = delay, spread
        super().__init__(length, **options)

    def channels(self) -> list[Channel]:
        """Whether there is a cue, and an event."""
        return [Channel("cue"), Channel("event")]

    def outputs(self) -> Bernoulli:
        """Whether the next row holds an event."""
        return Bernoulli([Channel("event")], regimes=self.regime_names, rates=[BACKGROUND])

    def generator(self) -> Callable[[np.random.Generator, int], Series]:
        """Return `event_timing` with the options filled in."""
        return partial(event_timing, delay=self.delay, spread=self.spread, length=self.length)

    def bayes_losses(self, series: Series) -> Reals:
        """The losses of the law's own hazard, which the rows so far determine."""
        return bernoulli_losses(series.targets, bayes_hazards(series.rows, self.delay, self.spread)[..., None])

    def memoryless_losses(self, series: Series) -> Reals:
        """The losses of the mean hazard after rows like the last one, at this time."""
        cues, events = np.moveaxis(series.rows[:, :-1].astype(np.int64), -1, 0)
        table = memoryless_hazards(self.length, self.delay, self.spread)
        return bernoulli_losses(series.targets, table[np.arange(self.length), cues, events][..., None])

    def windows(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        """Where targets may follow the cues of a batch, for `memtrain.metrics.event_time_error`.

        Args:
            batch: `[B, T]`.

        Returns:
            Samples int64 `[N, 1]`, and timesteps int64 `[N, delay + spread]`: the targets of the row after each cue
            up to the window's end, as far as all of these lie in the sequence.
        """
        steps = self.delay + self.spread
        sample, start = (batch.inputs[:, : self.length - steps + 1, 0] > 0).nonzero(as_tuple=True)
        return sample[:, None], start[:, None] + torch.arange(steps, device=start.device)


def bernoulli_losses(values: Reals, probabilities: Reals) -> Reals:
    """Negative log-likelihood of values 0 or 1, in nats; both broadcast."""
    return -np.log(np.where(values > 0, probabilities, 1 - probabilities))
