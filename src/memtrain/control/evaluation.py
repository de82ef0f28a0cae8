"""How well a policy plays, beside an expert and beside chance."""

from dataclasses import dataclass

import numpy as np

from memtrain.environments.play import play
from memtrain.environments.task import Policy, RandomPolicy, Task


@dataclass(frozen=True)
class Played:
    """What episodes have brought.

    Attributes:
        mean_return: mean sum of rewards of an episode.
        success: share of episodes that have succeeded.
        steps: mean number of steps of an episode.
        episodes: how many were played.
        normalized: mean return, 0 as a random policy's and 1 as the expert's; None where these are equal or the task
            has no such expert.
    """

    mean_return: float
    success: float
    steps: float
    episodes: int
    normalized: float | None = None


def evaluate_policy(
    task: Task, policy: Policy, episodes: int = 200, seed: int = 0, expert: str | None = None
) -> dict[str, Played]:
    """Play episodes with a policy, at random, and with an expert, in environments of the same seed.

    Args:
        task: what is played.
        policy: who plays.
        episodes: how many each plays.
        seed: of environments and draws.
        expert: which of the task's experts; None: without one.

    Returns:
        `policy`, `random` and, if there is one, `expert`.
    """
    players: dict[str, Policy] = {"policy": policy, "random": RandomPolicy(task.actions)}
    if expert is not None:
        players["expert"] = task.expert(expert)
    returns, found = {}, {}
    for name, player in players.items():
        played = play(task, player, episodes, seed)
        returns[name] = played.returns()
        success = task.success(returns[name], played.lengths)
        found[name] = (float(success.mean()), float(played.lengths.mean()))
    means = {name: float(values.mean()) for name, values in returns.items()}
    span = means.get("expert", np.nan) - means["random"]
    return {
        name: Played(
            means[name], success, steps, episodes, (means[name] - means["random"]) / span if abs(span) > 0 else None
        )
        for name, (success, steps) in found.items()
    }
