"""Tasks: a T-maze by hand, experts that do what they are called, and episodes laid end to end."""

import numpy as np
import pytest

from memtrain.data.episode_files import Episodes

pytest.importorskip("gymnasium", reason="pip install 'memtrain[control]'")

from memtrain.environments import GymnasiumTask, HiddenCartPole, RandomPolicy, TMaze, play
from memtrain.environments.cart_pole import regulator
from memtrain.environments.tmaze import FORWARD, UP


def test_a_tmaze_by_hand() -> None:
    """Two steps of corridor; the cue is seen once; turns inside the corridor do nothing; the right turn pays 1."""
    mazes = TMaze(length=2).make(2)
    state, _ = mazes.reset(seed=0)
    mazes.cue[:] = [1, -1]
    assert mazes._state().tolist() == [[1, 0, 1], [-1, 0, -1]]
    state, reward, ended, _, _ = mazes.step(np.array([UP, FORWARD]))
    assert state[:, :2].tolist() == [[0, 0], [0, 0]]  # the cue is gone, also for the one who stands still
    assert reward.tolist() == [0, 0]
    assert not ended.any()
    for action in (FORWARD, FORWARD):
        state, *_ = mazes.step(np.array([action, action]))
    assert state[:, 1].tolist() == [1, 1]
    _, reward, ended, _, _ = mazes.step(np.array([UP, UP]))
    assert reward.tolist() == [1, 0]
    assert ended.all()


@pytest.mark.parametrize(("kind", "least", "most"), [("cue", 1.0, 1.0), ("no_cue", 0.35, 0.65)])
def test_experts_of_the_tmaze_use_the_cue_or_do_not(kind: str, least: float, most: float) -> None:
    task = TMaze(5)
    played = play(task, task.expert(kind), 100, seed=0)
    assert least <= task.success(played.returns(), played.lengths).mean() <= most
    assert (played.lengths == 6).all()
    assert played.observations.shape == (600, 2)  # the cue that stays is not shown


def test_the_regulator_holds_the_pole_and_chance_does_not() -> None:
    task = HiddenCartPole()
    held = play(task, task.expert("lqr"), 20, seed=0)
    assert task.success(held.returns(), held.lengths).all()
    dropped = play(task, RandomPolicy(task.actions), 20, seed=0)
    assert not task.success(dropped.returns(), dropped.lengths).any()
    assert dropped.lengths.sum() == len(dropped.actions)
    assert (dropped.returns() == dropped.lengths).all()  # a reward of 1 a step


def test_the_regulator_makes_the_linear_system_stable() -> None:
    gain = regulator()
    total, step = 1.1, 0.02
    inertia = 0.5 * (4 / 3 - 0.1 / total)
    a = np.eye(4)
    a[0, 1] = a[2, 3] = step
    a[3, 2] = step * 9.8 / inertia
    a[1, 2] = -0.05 / total * a[3, 2]
    b = step * np.array([0, 1 / total + 0.05 / (total**2 * inertia), 0, -1 / (total * inertia)])
    assert np.abs(np.linalg.eigvals(a)).max() > 1
    assert np.abs(np.linalg.eigvals(a - np.outer(b, gain))).max() < 1


def test_a_seed_gives_the_same_episodes() -> None:
    task = TMaze(4)
    one, again, other = (play(task, RandomPolicy(3), 10, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one.actions, other.actions)


def test_returns_are_summed_within_episodes() -> None:
    episodes = Episodes(np.zeros((5, 1)), np.zeros(5, int), np.array([1.0, 2, 3, 4, 5]), np.array([2, 3]))
    assert episodes.starts.tolist() == [0, 2]
    assert episodes.returns().tolist() == [3, 12]


def test_any_gymnasium_environment_with_discrete_actions_is_a_task() -> None:
    task = GymnasiumTask("Acrobot-v1", hidden=(4, 5), limit=7)
    assert (list(task.visible.values()), task.actions, task.horizon) == ([0, 1, 2, 3], 3, 7)
    assert play(task, RandomPolicy(3), 2, seed=0).observations.shape == (14, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "NoSuchWorld-v0"}, "environment NoSuchWorld-v0 cannot be made"),
        ({"name": "Pendulum-v1"}, "must have Discrete actions"),
        ({"name": "Acrobot-v1", "hidden": (9,)}, "hidden is .9,., but must leave some"),
        ({"name": "Acrobot-v1", "limit": 0}, "limit"),
    ],
)
def test_what_is_no_task_is_refused_in_one_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GymnasiumTask(**options)  # type: ignore[arg-type]


def test_an_expert_that_a_task_does_not_have_is_refused() -> None:
    for task in (TMaze(), HiddenCartPole(), GymnasiumTask("Acrobot-v1")):
        with pytest.raises(ValueError, match=r"expert is '?oracle"):
            task.expert("oracle")
