"""Playing: a policy acts in many environments at once."""

from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from memtrain.data.episode_files import Episodes
from memtrain.environments.task import Policy, Rows, Task


def play(task: Task, policy: Policy, episodes: int, seed: int) -> Episodes:
    """Play episodes side by side, each until it ends or the task's horizon cuts it off.

    Args:
        task: what is played.
        policy: who plays.
        episodes: N.
        seed: of the environments and of the policy's draws.
    """
    visible = list(task.visible.values())
    policy.start(episodes, np.random.default_rng([seed, 1]))
    before, alive = np.full(episodes, -1), np.ones(episodes, bool)
    kept: list[tuple[Rows, NDArray[np.int64], Rows, NDArray[np.bool_]]] = []
    with closing(task.make(episodes)) as environment:
        states, _ = environment.reset(seed=seed)
        for _ in range(task.horizon):
            states = np.asarray(states, dtype=np.float64)
            observations = states[:, visible]
            before = np.asarray(policy.act(states, observations, before), dtype=np.int64)
            states, rewards, ended, cut, _ = environment.step(before)
            kept.append((observations, before, np.asarray(rewards, dtype=np.float64), alive))
            alive = alive & ~ended & ~cut
            if not alive.any():
                break
    observations, actions, rewards, played = (np.stack(part, axis=1) for part in zip(*kept, strict=True))
    return Episodes(observations[played], actions[played], rewards[played], played.sum(axis=1))
