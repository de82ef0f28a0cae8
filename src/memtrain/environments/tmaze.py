"""TMaze: a cue at the entrance of a corridor says where to turn at its far end."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from memtrain.environments.task import Policy, RandomPolicy, Rows, Task
from memtrain.limits import require_at_least

FORWARD, UP, DOWN = 0, 1, 2
EXPERTS = ("cue", "no_cue")


@dataclass(frozen=True)
class TMaze(Task):
    """The T-maze (Bakker, "Reinforcement Learning with Long Short-Term Memory", NIPS 2001).

    An agent stands at the entrance and sees a cue, 1 (turn up) or -1 (turn down), in the first step alone. It walks
    along a corridor, in which all places look the same, to a junction, and turns. A turn at the junction ends the
    episode: reward 1 if it is the one that the cue has asked for, else 0. A turn inside the corridor does nothing.

    Experts: `cue` turns as the cue says; `no_cue` always turns up, and so is right in half of the episodes.

    Args:
        length: steps from entrance to junction, L; the cue has to be remembered for so long.
    """

    length: int = 20

    def __post_init__(self) -> None:
        """Refuse a maze without corridor."""
        require_at_least("length", self.length, 1, example=20)

    @property
    def visible(self) -> dict[str, int]:
        """See `Task.visible`; the state's third number is the cue, at all times."""
        return {"cue": 0, "junction": 1}

    @property
    def actions(self) -> int:
        """See `Task.actions`; forward, up, down."""
        return 3

    @property
    def horizon(self) -> int:
        """See `Task.horizon`."""
        return self.length + 10

    def make(self, episodes: int) -> "TMazes":
        """See `Task.make`."""
        return TMazes(self.length, self.horizon, episodes)

    def expert(self, kind: str) -> Policy:
        """See `Task.expert`."""
        if kind not in EXPERTS:
            raise ValueError(f"expert is {kind!r}, but TMaze has the experts {', '.join(EXPERTS)}; choose one.")
        return TMazeExpert(kind == "cue")

    def success(self, rewards: Rows, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
        """See `Task.success`; turned as the cue said."""
        return rewards > 0


class TMazeExpert(RandomPolicy):
    """Walks to the junction, and turns.

    Args:
        uses_cue: turn as the cue said; else always up.
    """

    def __init__(self, uses_cue: bool) -> None:
        super().__init__(3)
        self.uses_cue = uses_cue

    def act(self, states: Rows, observations: Rows, before: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `Policy.act`."""
        turn = np.where(states[:, 2] > 0, UP, DOWN) if self.uses_cue else np.full(len(states), UP)
        return np.where(states[:, 1] > 0, turn, FORWARD)


class TMazes(VectorEnv[Rows, NDArray[np.int64], Any]):
    """Many T-mazes side by side; an observation is (cue if at the entrance, at the junction, the cue), `[B, 3]`.

    Args:
        length: steps from entrance to junction.
        horizon: steps after which an episode is cut off.
        episodes: number of mazes.
    """

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.DISABLED}  # type: ignore[misc]

    def __init__(self, length: int, horizon: int, episodes: int) -> None:
        self.length, self.horizon, self.num_envs = length, horizon, episodes
        self.single_observation_space = Box(-1.0, 1.0, (3,), np.float64)
        self.single_action_space = Discrete(3)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Rows, dict[str, Any]]:
        """New episodes: every cue is as likely as the other."""
        self.cue = np.random.default_rng(seed).choice([-1.0, 1.0], self.num_envs)
        self.place, self.steps, self.done = np.zeros(self.num_envs, int), 0, np.zeros(self.num_envs, bool)
        return self._state(), {}

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[Rows, Rows, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One step of all episodes; those that have ended stay as they are, without reward."""
        turned = (actions != FORWARD) & (self.place == self.length) & ~self.done
        right = turned & (np.where(self.cue > 0, UP, DOWN) == actions)
        self.place = np.minimum(self.place + ((actions == FORWARD) & ~self.done), self.length)
        self.steps += 1
        self.done |= turned
        truncated = ~self.done & (self.steps >= self.horizon)
        return self._state(), right.astype(float), self.done.copy(), truncated, {}

    def _state(self) -> Rows:
        at_entrance = (self.place == 0) & (self.steps == 0)
        return np.stack([self.cue * at_entrance, self.place == self.length, self.cue], axis=1).astype(float)
