"""The losses that the probes of numbers call the best possible, against plain programs, and the memoryless ones,
against Monte Carlo."""

from itertools import pairwise, product

import numpy as np
import pytest

from memtrain.data.probes.action_history import (
    FIX_NOISE,
    SLIP,
    STEP,
    TARGET_NOISE,
    ActionHistory,
    action_history,
    kalman_losses,
)
from memtrain.data.probes.adding_problem import AddingProblem, adding_problem, smoothed_uniforms
from memtrain.data.probes.event_timing import (
    BACKGROUND,
    TRIGGERED,
    bayes_hazards,
    event_timing,
    hazards_of_ages,
    memoryless_hazards,
)
from memtrain.data.probes.exogenous_lag import ExogenousLag, exogenous_lag
from memtrain.data.probes.numbers import gaussian_losses
from memtrain.data.probes.regimes import (
    DEVIATIONS,
    MEANS,
    PULSE_RATE,
    RARE_STEPS,
    filter_losses,
    regimes,
    stationary,
    transitions,
)


def density(values: np.ndarray, mean: np.ndarray | float, variance: np.ndarray | float) -> np.ndarray:
    return np.exp(-gaussian_losses(values, mean, variance))


def entropy(variance: np.ndarray | float) -> np.ndarray:
    return 0.5 * np.log(2 * np.pi * np.e * np.asarray(variance))


def test_the_loss_of_a_normal_distribution() -> None:
    assert gaussian_losses(np.array(3.0), 1.0, 4.0) == pytest.approx(np.log(2 * np.sqrt(2 * np.pi)) + 0.5)


# Regimes


@pytest.mark.parametrize("rare", [3, 10, 333])
def test_the_rare_regime_holds_one_timestep_in_so_many(rare: int) -> None:
    moves = transitions(rare)
    assert moves.min() >= 0
    assert moves.sum(-1) == pytest.approx(np.ones((2, 3)))
    mean = (1 - PULSE_RATE) * moves[0] + PULSE_RATE * moves[1]
    assert stationary(rare) @ mean == pytest.approx(stationary(rare), abs=1e-15)
    assert stationary(rare)[2] == pytest.approx(1 / rare)
    assert 1 / (1 - mean[2, 2]) == pytest.approx(RARE_STEPS)
    drawn = regimes(np.random.default_rng(0), 4096, length=32, rare=rare).regime
    visits = drawn.size / rare / (2 * RARE_STEPS)  # of so many independent ones the mean is as inexact
    assert drawn.mean() == pytest.approx(1 / rare, rel=3 * visits**-0.5)


def test_the_filter_is_the_sum_over_all_hidden_paths() -> None:
    rows = regimes(np.random.default_rng(0), 2, length=5, rare=4).rows
    start, moves = stationary(4), transitions(4)
    for values, pulses, losses in zip(
        rows[..., 0], rows[..., 1].astype(int), filter_losses(rows[..., 0], rows[..., 1].astype(int), 4), strict=True
    ):
        likelihood = np.zeros(7)  # of the first 0, 1, ..., 6 values
        for path in product(range(3), repeat=7):
            weight = start[path[0]]
            terms = [weight]
            for t, (before, state) in enumerate(pairwise(path)):
                weight *= moves[pulses[t], before, state]
                weight *= density(values[t], MEANS[state], DEVIATIONS[state] ** 2)
                terms.append(weight)
            likelihood += np.array(terms) / 3.0 ** np.arange(6, -1, -1)  # so many paths share a beginning
        assert losses == pytest.approx(np.log(likelihood[:-1] / likelihood[1:]), rel=1e-12)


@pytest.mark.parametrize("next_pulse", [0, 1])
def test_the_memoryless_distribution_of_the_next_value_is_that_of_many_series(next_pulse: int) -> None:
    rows = regimes(np.random.default_rng(1), 8192, length=32, rare=5).rows
    now, after = rows[:, :-1].reshape(-1, 2), rows[:, 1:].reshape(-1, 2)
    alike = (np.abs(now[:, 0] - 2.0) < 0.1) & (now[:, 1] == 0) & (after[:, 1] == next_pulse)
    grid = np.arange(-12, 12.001, 0.02)
    pairs = np.stack([np.full_like(grid, 2.0), grid], axis=1)
    predicted = np.exp(-filter_losses(pairs, np.tile([0, next_pulse], (len(grid), 1)), 5)[:, 1]) * 0.02
    assert predicted.sum() == pytest.approx(1, abs=1e-4)
    for low, high in ((-12, -2), (-2, 0), (0, 2), (2, 12)):
        share = ((after[alike, 0] > low) & (after[alike, 0] < high)).mean()
        inside = predicted[(grid > low) & (grid < high)].sum()
        assert share == pytest.approx(inside, abs=4 * (0.25 / alike.sum()) ** 0.5 + 0.005)


# Event timing


def plain_hazards(cues: list[bool], events: list[bool], delay: int, spread: int) -> list[float]:
    """The probability of an event at rows 1, 2, ..., by weighing every time at which the pending cue may fire."""
    fires = dict(zip(range(delay - spread, delay + spread + 1), (0.25, 0.5, 0.25), strict=True))
    hazards, pending = [], None
    for t in range(len(cues)):
        if pending is not None:
            inside = t - pending in fires
            if (inside and events[t]) or t - pending == delay + spread:
                pending = None
        elif cues[t]:
            pending = t
        if pending is None:
            hazards.append(BACKGROUND)
            continue
        age = t + 1 - pending
        possible = {time: TRIGGERED * share for time, share in fires.items() if time >= age}
        never = 1 - TRIGGERED
        now = possible.get(age, 0.0) / (sum(possible.values()) + never)
        hazards.append(now + (1 - now) * BACKGROUND)
    return hazards


def test_the_hazard_is_that_of_a_plain_program() -> None:
    rows = event_timing(np.random.default_rng(0), 60, delay=4, spread=1, length=40).rows
    assert 0 < rows[..., 1].mean() < 0.5
    wanted = [plain_hazards((row[:, 0] > 0).tolist(), (row[:, 1] > 0).tolist(), 4, 1)[:-1] for row in rows]
    assert bayes_hazards(rows, 4, 1) == pytest.approx(np.array(wanted))


def test_events_come_as_often_as_their_hazard_says() -> None:
    rows = event_timing(np.random.default_rng(0), 4000, delay=5, spread=1, length=40).rows
    predicted = bayes_hazards(rows, 5, 1)
    for hazard in np.unique(hazards_of_ages(5, 1)):
        chosen = rows[:, 1:, 1][np.isclose(predicted, hazard)]
        assert chosen.mean() == pytest.approx(hazard, abs=4 * (0.25 / len(chosen)) ** 0.5)


def test_the_memoryless_hazards_are_those_of_many_series() -> None:
    series = event_timing(np.random.default_rng(0), 60_000, delay=3, spread=1, length=9)
    table = memoryless_hazards(9, 3, 1)
    assert table.shape == (9, 2, 2)
    cues, events = np.moveaxis(series.rows[:, :-1].astype(int), -1, 0)
    for t, cue, event in product(range(9), (0, 1), (0, 1)):
        chosen = series.targets[(cues[:, t] == cue) & (events[:, t] == event), t, 0]
        assert len(chosen) > 50
        assert chosen.mean() == pytest.approx(table[t, cue, event], abs=4 * (0.25 / len(chosen)) ** 0.5)


# Action history


def test_the_kalman_filter_is_a_dense_normal_distribution_conditioned_on_the_fixes() -> None:
    series = action_history(np.random.default_rng(0), 6, length=7, fix_every=2)
    losses = kalman_losses(series.rows, series.targets, np.zeros(6))
    together = SLIP**2 * np.minimum.outer(np.arange(8), np.arange(8))  # covariance of positions
    sums = np.nan_to_num(series.rows[..., 2:]).cumsum(axis=1)
    assert np.isnan(series.rows[..., 0]).any(axis=1).all()
    for sample, axis, t in product(range(6), range(2), range(7)):
        fixes = series.rows[sample, : t + 1, axis]
        seen = np.flatnonzero(~np.isnan(fixes))
        gain = np.linalg.solve(together[np.ix_(seen, seen)] + FIX_NOISE**2 * np.eye(len(seen)), together[seen, t + 1])
        mean = sums[sample, t + 1, axis] + gain @ (fixes[seen] - sums[sample, seen, axis])
        variance = together[t + 1, t + 1] - gain @ together[seen, t + 1] + TARGET_NOISE**2
        wanted = gaussian_losses(series.targets[sample, t, axis], mean, variance)
        assert losses[sample, t, axis] == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("t", [0, 1, 5])
@pytest.mark.parametrize("seen", [False, True])
def test_the_memoryless_loss_of_a_position_is_that_of_a_linear_regression(t: int, seen: bool) -> None:
    data = ActionHistory(length=6, fix_every=2)
    series = data.generator()(np.random.default_rng(0), 20_000)
    chosen = ~np.isnan(series.rows[:, t, 0]) == seen
    rows, target = series.rows[chosen, :, 0::2], series.targets[chosen, t, 0]
    known = np.nan_to_num(np.stack([rows[:, t, 0], rows[:, t, 1], rows[:, t + 1, 1]], axis=1))
    coefficients = np.linalg.lstsq(known, target, rcond=None)[0]
    losses = data.memoryless_losses(series)[chosen, t, 0]
    assert losses.mean() == pytest.approx(entropy(np.mean((target - known @ coefficients) ** 2)), abs=0.01)


def test_a_walk_goes_as_far_as_its_steps() -> None:
    series = action_history(np.random.default_rng(0), 20_000, length=5, fix_every=1)
    assert series.targets[:, 4].var() == pytest.approx(5 * (STEP**2 + SLIP**2) + TARGET_NOISE**2, rel=0.05)


# Adding problem


@pytest.mark.parametrize("count", [1, 2])
def test_the_density_of_noisy_sums_of_uniform_numbers(count: int) -> None:
    sums = np.random.default_rng(0).random((200_000, count)).sum(axis=1)
    for value in (-0.1, 0.05, 0.7, 1.0, 1.6):
        expected = density(np.array(value), sums, 0.2**2).mean()
        assert smoothed_uniforms(np.array(value), count, 0.2) == pytest.approx(expected, rel=0.03)
    grid = np.arange(-2, 5, 0.001)
    assert smoothed_uniforms(grid, count, 0.2).sum() * 0.001 == pytest.approx(1, abs=1e-9)


def test_the_memoryless_loss_of_the_adding_problem_is_below_that_of_a_normal_distribution() -> None:
    data = AddingProblem(length=4)  # the last row is marked in half of the series
    series = data.generator()(np.random.default_rng(0), 50_000)
    losses, target = data.memoryless_losses(series)[:, -1, 0], series.targets[:, -1, 0]
    value, marker = np.moveaxis(series.rows[:, 3], -1, 0)
    assert marker.mean() == pytest.approx(0.5, abs=0.01)
    assert (target - 1).var() == pytest.approx(1 / 6 + 0.05**2, rel=0.02)
    for known, terms in ((target[marker == 0], 2), ((target - value)[marker == 1], 1)):
        ours = losses[marker == (terms == 1)].mean()
        counts, edges = np.histogram(known, bins=100, density=True)
        plain = -(counts * np.log(np.maximum(counts, 1e-12))).sum() * (edges[1] - edges[0])  # entropy, from the shares
        assert ours == pytest.approx(plain, abs=0.02)
        assert ours < entropy(known.var())


# Both with noise of a known size


def test_the_best_possible_losses_are_the_entropy_of_the_noise() -> None:
    adding = adding_problem(np.random.default_rng(0), 20_000, length=8, noise=0.2)
    assert AddingProblem(length=8, noise=0.2).bayes_losses(adding)[adding.mask].mean() == pytest.approx(
        entropy(0.04), abs=0.02
    )
    lagging = exogenous_lag(np.random.default_rng(0), 4000, lag=5, length=12, noise=0.2)
    data = ExogenousLag(lag=5, length=12, noise=0.2)
    assert lagging.mask[0, :, 0].tolist() == [False] * 4 + [True] * 8
    assert data.bayes_losses(lagging)[lagging.mask].mean() == pytest.approx(entropy(0.04), abs=0.02)
    assert data.memoryless_losses(lagging)[lagging.mask].mean() == pytest.approx(entropy(1.04), abs=0.02)


def test_no_neighboring_row_tells_of_a_lagging_value() -> None:
    series = exogenous_lag(np.random.default_rng(0), 40_000, lag=2, length=4, noise=0.2)
    known = np.concatenate([series.rows[:, 3], series.rows[:, 4, 1:]], axis=1)  # the last row, and what is ahead
    target = series.targets[:, 3, 0]
    correlations = [np.corrcoef(column, target)[0, 1] for column in known.T]
    assert np.abs(correlations).max() < 0.025
    assert np.corrcoef(series.rows[:, 2, 1], target)[0, 1] == pytest.approx((1 / 1.04) ** 0.5, abs=0.01)
