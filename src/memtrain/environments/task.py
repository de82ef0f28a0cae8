"""Task: an environment, what an agent sees of it, and policies to hold others against."""

from abc import ABC, abstractmethod
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from gymnasium.error import Error as GymnasiumError
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from memtrain.data.episode_files import Rows
from memtrain.limits import require_at_least
from memtrain.networks.interface import class_path


class Policy(Protocol):
    """Chooses actions for many episodes at once."""

    def start(self, episodes: int, generator: np.random.Generator) -> None:
        """Begin so many episodes, with the random numbers for them."""

    def act(self, states: Rows, observations: Rows, before: NDArray[np.int64]) -> NDArray[np.int64]:
        """Choose actions.

        Args:
            states: everything the environment shows, `[B, S]`; only experts may look at it.
            observations: what the task lets an agent see of that, `[B, C]`.
            before: the last actions, int64 `[B]`; -1 at the first step.

        Returns:
            int64 `[B]`.
        """


class RandomPolicy:
    """Every action is equally likely.

    Args:
        actions: number of different actions, A.
    """

    def __init__(self, actions: int) -> None:
        self.actions = actions

    def start(self, episodes: int, generator: np.random.Generator) -> None:
        """See `Policy.start`."""
        self.generator = generator

    def act(self, states: Rows, observations: Rows, before: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `Policy.act`."""
        return self.generator.integers(0, self.actions, len(states))


class Task(ABC):
    """An environment with discrete actions, of which an agent may see less than its whole state.

    A task is a frozen dataclass: its options, and nothing else.
    """

    @property
    @abstractmethod
    def visible(self) -> dict[str, int]:
        """The observed numbers, C of them: a name for each, and its position in the state."""

    @property
    @abstractmethod
    def actions(self) -> int:
        """Number of different actions, A."""

    @property
    @abstractmethod
    def horizon(self) -> int:
        """Steps after which an episode is cut off."""

    @abstractmethod
    def make(self, episodes: int) -> VectorEnv[Any, Any, Any]:
        """So many environments side by side, whose observations are whole states `[B, S]`."""

    @abstractmethod
    def expert(self, kind: str) -> Policy:
        """A policy that may see the whole state.

        Raises:
            ValueError: where the task has no expert of that kind.
        """

    @abstractmethod
    def success(self, rewards: Rows, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which episodes have succeeded.

        Args:
            rewards: sums over each episode, `[N]`.
            lengths: steps of each episode, int64 `[N]`.

        Returns:
            bool `[N]`.
        """

    def to_primitive(self) -> dict[str, Any]:
        """The task as `class_path` and `init_args`."""
        return {"class_path": class_path(self), "init_args": asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class GymnasiumTask(Task):
    """Any environment that `gymnasium` can make, with discrete actions and a vector of numbers to see.

    It has no expert: clone logs that you have (`memtrain.data.EpisodesDataModule`).

    Args:
        name: of the environment, as `Acrobot-v1`; a module of your own that registers one is written `module:name`.
        hidden: positions of the numbers that an agent does not see.
        limit: steps after which an episode is cut off; null: as the environment says.
        success_return: sum of rewards from which on an episode is a success; null: none is.

    Raises:
        ValueError: for an unknown environment, or one with other actions or observations.
    """

    name: str
    hidden: tuple[int, ...] = ()
    limit: int | None = None
    success_return: float | None = None

    def __post_init__(self) -> None:
        """Refuse an environment that is no task."""
        require_at_least("limit", self.horizon, 1, example=500)
        if not self.visible or not set(self.hidden) <= set(range(self._sizes[0])):
            raise ValueError(f"hidden is {self.hidden}, but must leave some of the positions 0..{self._sizes[0] - 1}.")

    @cached_property
    def _sizes(self) -> tuple[int, int, int | None]:
        """Numbers of a state, actions, and the environment's own limit of steps."""
        with closing(self.make(1)) as environment:
            actions, seen = environment.single_action_space, environment.single_observation_space
            if not isinstance(actions, Discrete) or not isinstance(seen, Box) or len(seen.shape) != 1:
                raise ValueError(
                    f"environment {self.name} has actions {actions} and observations {seen}, but must have Discrete "
                    "actions and a Box of one row of numbers; wrap it in one that has."
                )
            steps = environment.spec.max_episode_steps if environment.spec else None
        return seen.shape[0], int(actions.n), steps

    @property
    def visible(self) -> dict[str, int]:
        """See `Task.visible`."""
        return {f"observation_{i}": i for i in range(self._sizes[0]) if i not in self.hidden}

    @property
    def actions(self) -> int:
        """See `Task.actions`."""
        return self._sizes[1]

    @property
    def horizon(self) -> int:
        """See `Task.horizon`."""
        steps = self._sizes[2] if self.limit is None else self.limit
        if steps is None:
            raise ValueError(f"environment {self.name} has no limit of steps; give limit, for example 500.")
        return steps

    def make(self, episodes: int) -> VectorEnv[Any, Any, Any]:
        """See `Task.make`."""
        import gymnasium

        try:
            return gymnasium.make_vec(self.name, num_envs=episodes)
        except (GymnasiumError, ImportError) as error:
            raise ValueError(f"environment {self.name} cannot be made: {' '.join(str(error).split())}") from error

    def expert(self, kind: str) -> Policy:
        """See `Task.expert`."""
        raise ValueError(f"expert is {kind}, but {self.name} has none; give data.path, a file of logs.")

    def success(self, rewards: Rows, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
        """See `Task.success`."""
        return rewards >= (np.inf if self.success_return is None else self.success_return)
