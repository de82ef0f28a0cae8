"""Each probe's series, worked by hand: the random draws are written down, and the series must follow from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from memtrain.data.probes.action_history import action_history
from memtrain.data.probes.adding_problem import adding_problem
from memtrain.data.probes.event_timing import BACKGROUND, event_timing, hazards_of_ages
from memtrain.data.probes.exogenous_lag import exogenous_lag
from memtrain.data.probes.regimes import regimes


class Script:
    """A generator whose draws are written down beforehand."""

    def __init__(self, *draws: Sequence[Any]) -> None:
        self.draws = [np.array(draw, dtype=np.float64) for draw in draws]

    def standard_normal(self, size: Any) -> np.ndarray:
        draw = self.draws.pop(0)
        assert draw.shape == ((size,) if isinstance(size, int) else tuple(size))
        return draw

    random = standard_normal

    def integers(self, low: int, high: int, size: int) -> np.ndarray:
        draw = self.draws.pop(0).astype(np.int64)
        assert draw.shape == (size,)
        assert low <= draw.min()
        assert draw.max() < high
        return draw


def test_the_adding_problem_adds_one_number_of_each_half() -> None:
    script = Script([[0.2, 0.9, 0.4, 0.6, 0.1, 0.7, 0.5]], [1], [4], [0.6])
    series = adding_problem(script, 1, length=6, noise=0.05)  # type: ignore[arg-type]
    assert series.rows[0, :6, 0].tolist() == [0.2, 0.9, 0.4, 0.6, 0.1, 0.7]
    assert series.rows[0, :6, 1].tolist() == [0, 1, 0, 0, 1, 0]
    assert series.mask[0, :, 0].tolist() == [False] * 5 + [True]
    assert series.targets[0, -1, 0] == pytest.approx(0.9 + 0.1 + 0.03)


def test_regimes_are_entered_by_a_pulse_and_the_next_value_is_the_target() -> None:
    # With rare=11, a pulse has low stay with 0.09, changes it to high with 0.81, and makes it rare with 0.1.
    pulses = [[0.5, 0.5, 0.05, 0.5, 0.05, 0.5]]
    chance = [[0.1], [0.1], [0.1], [0.5], [0.5], [0.95], [0.95]]  # low, low, low, high, high, rare, rare
    noise = [[-0.2, 0.7, -0.2, 0.1, 4 / 3, -3.1 / 3]]
    series = regimes(Script(pulses, chance, noise), 1, length=5, rare=11)  # type: ignore[arg-type]
    assert series.rows[0, :, 0].tolist() == pytest.approx([-1.2, -0.3, 0.8, 1.1, 4.0, -3.1])
    assert series.rows[0, :, 1].tolist() == [0, 0, 1, 0, 1, 0]
    assert series.targets[0, :, 0].tolist() == pytest.approx([-0.3, 0.8, 1.1, 4.0, -3.1])
    assert series.regime.tolist() == [[0, 0, 0, 1, 1]]
    assert series.mask.all()


def test_the_hazard_is_that_of_the_time_that_is_left() -> None:
    # 0.9 of the cues trigger an event: a quarter of these after 2 steps, half after 3, a quarter after 4.
    triggered = np.array([0, 0, 0.225, 0.45 / 0.775, 0.225 / 0.325])
    assert hazards_of_ages(3, 1) == pytest.approx(1 - (1 - BACKGROUND) * (1 - triggered))


def test_an_event_settles_the_cue_in_its_window() -> None:
    cue = [[0.9], [0.1], [0.1], [0.1], [0.1], [0.9], [0.9], [0.1], [0.9]]  # rows 2, 3 and 4 are not asked
    event = [[0.5], [0.5], [0.5], [0.5], [0.1], [0.5], [0.5], [0.5], [0.5]]  # row 3: 0.5 is above 0.23
    series = event_timing(Script([cue, event]), 1, delay=3, spread=1, length=8)  # type: ignore[arg-type]
    assert series.rows[0, :, 0].tolist() == [0, 1, 0, 0, 0, 0, 0, 1, 0]
    assert series.rows[0, :, 1].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert series.targets[0, :, 0].tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    assert series.regime.tolist() == [[0, 0, 1, 1, 0, 0, 0, 0]]


def test_a_value_repeats_the_input_of_three_steps_before() -> None:
    inputs = [[0.4, 1.0, -0.7, 1.3, -0.6, 0.2, -0.9, 0.8, 1.1]]
    distractor = [[-0.1, 0.7, -1.5, 0.3, 0.9, -0.2]]
    script = Script(inputs, distractor, [[1, -1, -1, 1, 1, 0]])
    series = exogenous_lag(script, 1, lag=3, length=5, noise=0.1)  # type: ignore[arg-type]
    assert series.rows[0, :, 0].tolist() == pytest.approx([0.5, 0.9, -0.8, 1.4, -0.5, 0.2])
    assert series.rows[0, :, 1].tolist() == [1.3, -0.6, 0.2, -0.9, 0.8, 1.1]
    assert series.rows[:, :, 2].tolist() == distractor
    assert series.mask[0, :, 0].tolist() == [False, False, True, True, True]
    assert series.targets[0, 2:, 0].tolist() == pytest.approx([1.4, -0.5, 0.2])


def test_the_position_is_the_sum_of_actions() -> None:
    actions = [[[9, 9], [1, 0], [2, 0], [-1, 0], [2, 10]]]  # in steps of 0.1; that of row 0 is not made
    still, exact = np.zeros((1, 5, 2)), np.zeros((1, 4, 2))
    seen = [[[0.9], [0.9], [0.1], [0.9], [0.9]]]
    series = action_history(Script(actions, still, seen, still, exact), 1, length=4, fix_every=2)  # type: ignore[arg-type]
    assert series.rows[0, :, 0].tolist() == pytest.approx([np.nan, np.nan, 0.3, np.nan, np.nan], nan_ok=True)
    assert series.rows[0, :, 2].tolist() == pytest.approx([np.nan, 0.1, 0.2, -0.1, 0.2], nan_ok=True)
    assert series.targets[0, :, 0].tolist() == pytest.approx([0.1, 0.3, 0.2, 0.4])
    assert series.targets[0, :, 1].tolist() == pytest.approx([0, 0, 0, 1])
