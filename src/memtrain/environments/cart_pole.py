"""HiddenCartPole: the pole on a cart whose velocities are not seen."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_are

from memtrain.environments.task import GymnasiumTask, Policy, RandomPolicy, Rows

SOLVED_STEPS = 475
"""Steps from which on gymnasium calls CartPole-v1 solved."""


@dataclass(frozen=True)
class HiddenCartPole(GymnasiumTask):
    """CartPole-v1 of which an agent sees the cart's position and the pole's angle, not their velocities.

    Expert: `lqr`, a linear-quadratic regulator that sees the whole state. An episode is a success if the pole stands
    for 475 of its 500 steps.
    """

    name: str = "CartPole-v1"
    hidden: tuple[int, ...] = (1, 3)
    success_return: float | None = SOLVED_STEPS

    @property
    def visible(self) -> dict[str, int]:
        """See `Task.visible`."""
        return {"position": 0, "angle": 2}

    def make(self, episodes: int) -> VectorEnv[Any, Any, Any]:
        """See `Task.make`; gymnasium's own environment of many carts."""
        import gymnasium

        return gymnasium.make_vec(self.name, num_envs=episodes, vectorization_mode="vector_entry_point")

    def expert(self, kind: str) -> Policy:
        """See `Task.expert`."""
        if kind != "lqr":
            raise ValueError(f"expert is {kind!r}, but HiddenCartPole has the expert lqr; set it to lqr.")
        return CartPoleExpert()


class CartPoleExpert(RandomPolicy):
    """A linear-quadratic regulator of the linearized cart and pole; the sign of its force is the action."""

    def __init__(self) -> None:
        super().__init__(2)
        self.gain = regulator()

    def act(self, states: Rows, observations: Rows, before: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `Policy.act`."""
        return (-states @ self.gain > 0).astype(np.int64)


def regulator() -> Rows:
    """The gain K, `[4]`, of the force `-K s` that holds the state s = (position, its rate, angle, its rate) at 0.

    Masses, length and step are those of gymnasium's CartPole (Barto, Sutton and Anderson, 1983), linearized around
    the upright pole; states and force cost alike.
    """
    gravity, cart, pole, half, step = 9.8, 1.0, 0.1, 0.5, 0.02
    total = cart + pole
    inertia = half * (4 / 3 - pole / total)
    continuous = np.zeros((4, 4))
    continuous[0, 1] = continuous[2, 3] = 1
    continuous[3, 2] = gravity / inertia
    continuous[1, 2] = -pole * half / total * continuous[3, 2]
    force = np.array([0, 1 / total + pole * half / (total**2 * inertia), 0, -1 / (total * inertia)])[:, None]
    a, b = np.eye(4) + step * continuous, step * force
    cost = solve_discrete_are(a, b, np.eye(4), np.eye(1))
    gain: Rows = np.linalg.solve(np.eye(1) + b.T @ cost @ b, b.T @ cost @ a)[0]
    return gain
