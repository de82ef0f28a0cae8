"""Reward: a readout over the memory, added to the cloned policy, learns by policy gradient; if wanted, f with it."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memtrain.control.policy import packed
from memtrain.environments.play import play
from memtrain.environments.task import Rows, Task
from memtrain.limits import require_at_least
from memtrain.networks import RNN, Channels
from memtrain.networks.rollout import rollout


@dataclass
class Reinforced:
    """What policy gradient has led to.

    Attributes:
        readout: memory, `[..., K * D]`, to what is added to the logits of A actions.
        returns: mean return of each iteration's episodes, while actions are drawn.
        success: share of successful episodes of each iteration.
    """

    readout: nn.Linear
    returns: list[float] = field(default_factory=list)
    success: list[float] = field(default_factory=list)


class MemoryPolicy:
    """Draws actions from the cloned policy, tempered, and a linear readout over the RNN's memory, added.

    Args:
        rnn: predicts the expert's actions.
        readout: to what is added to their logits.
        channels: the observations, then the last action.
        temperature: what the cloned logits are divided by, so that other actions are tried too.
    """

    def __init__(self, rnn: RNN, readout: nn.Linear, channels: Channels, temperature: float) -> None:
        self.rnn, self.readout, self.channels, self.temperature = rnn, readout, channels, temperature

    def logits(self, memory: Tensor) -> Tensor:
        """Of the actions, from memories: `[..., K, D]` to `[..., A]`."""
        return self.rnn.read(memory) / self.temperature + self.readout(memory.flatten(-2))

    def start(self, episodes: int, generator: np.random.Generator) -> None:
        """See `Policy.start`."""
        self.memory = self.rnn.initial_memory(episodes)
        self.generator = torch.Generator().manual_seed(int(generator.integers(2**62)))

    @torch.no_grad()
    def act(self, states: Rows, observations: Rows, before: np.ndarray) -> np.ndarray:
        """See `Policy.act`."""
        embedding = self.rnn.embed(packed(self.channels, observations, before))
        self.memory = self.rnn.step(self.memory, embedding)
        odds = self.logits(self.memory).double().softmax(-1)
        return torch.multinomial(odds, 1, generator=self.generator).squeeze(1).numpy()


def reinforce(
    rnn: RNN,
    channels: Channels,
    task: Task,
    train_memory: bool = False,
    iterations: int = 100,
    episodes: int = 64,
    learning_rate: float = 0.01,
    entropy_weight: float = 0.01,
    temperature: float = 4.0,
    seed: int = 0,
) -> Reinforced:
    """REINFORCE (Williams, 1992) with the mean return to go of each timestep as its baseline.

    It begins with the cloned policy: at random nobody walks through a long corridor to where the reward is.

    Args:
        rnn: trained before, or not; changed only if `train_memory`.
        channels: the observations, then the last action.
        task: where reward comes from.
        train_memory: train f too, through time; else the memory stays what it is.
        iterations: updates.
        episodes: played for each update.
        learning_rate: AdamW's.
        entropy_weight: reward for undecided actions, in nats.
        temperature: what the cloned policy's logits are divided by, so that other actions are tried too.
        seed: of environments, draws and the readout.

    Raises:
        ValueError: for less than one iteration or less than two episodes.
    """
    require_at_least("iterations", iterations, 1, example=100)
    require_at_least("episodes", episodes, 2, example=64)
    torch.manual_seed(seed)
    memory = rnn.cell.memory_tokens * rnn.cell.width
    found = Reinforced(nn.Linear(memory, task.actions))
    nn.init.zeros_(found.readout.weight)
    nn.init.zeros_(found.readout.bias)
    trained = [*found.readout.parameters(), *(rnn.parameters() if train_memory else ())]
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=0.0)
    policy = MemoryPolicy(rnn, found.readout, channels, temperature)
    for iteration in range(iterations):
        played = play(task, policy, episodes, seed=1_000_003 * (seed + 1) + iteration)
        steps = int(played.lengths.max())
        at = played.starts[:, None] + np.arange(steps)
        inside = np.arange(steps) < played.lengths[:, None]
        at = np.where(inside, at, 0)
        actions = np.where(inside, played.actions[at], 0).astype(np.int64)
        before = np.concatenate([np.full((episodes, 1), -1), actions[:, :-1]], axis=1)
        inputs = packed(channels, played.observations[at], before)
        with torch.set_grad_enabled(train_memory):
            memories = rollout(rnn.cell, rnn.initial_memory(episodes), rnn.embed(inputs))
        rewards = torch.from_numpy(np.where(inside, played.rewards[at], 0.0)).float()
        loss = policy_loss(
            policy.logits(memories),
            torch.from_numpy(actions),
            rewards,
            torch.from_numpy(inside),
            entropy_weight,
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        returns = played.returns()
        found.returns.append(float(returns.mean()))
        found.success.append(float(task.success(returns, played.lengths).mean()))
    return found


def policy_loss(logits: Tensor, actions: Tensor, rewards: Tensor, mask: Tensor, entropy_weight: float) -> Tensor:
    """The policy gradient's loss: `-log p(a_t) (G_t - mean over episodes of G_t) - weight * entropy`, summed over t.

    Args:
        logits: `[B, T, A]`.
        actions: int64 `[B, T]`.
        rewards: `[B, T]`, 0 after an episode's end.
        mask: bool `[B, T]`, False after an episode's end.
        entropy_weight: in nats.

    Returns:
        A scalar, the mean over episodes.
    """
    to_go = rewards.flip(1).cumsum(1).flip(1)  # G_t, the rewards from t on
    advantage = to_go - (to_go * mask).sum(0) / mask.sum(0).clamp(min=1)
    log_odds = F.log_softmax(logits, dim=-1)
    chosen = log_odds.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    entropy = -(log_odds.exp() * log_odds).sum(-1)
    terms = -chosen * advantage.detach() - entropy_weight * entropy
    return torch.where(mask, terms, 0.0).sum(1).mean()
