"""ModelPolicy: a model that has cloned behavior, as a policy."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtrain.environments.task import Rows
from memtrain.networks import Channels, StreamingModel


class ModelPolicy:
    """Takes in what is seen, one step after the other, and draws actions from the model's prediction.

    Args:
        model: predicts the action after each observation.
        channels: what it takes in: the observations, then the last action.
        temperature: 1 draws from the prediction, 0 takes the likeliest action.
    """

    def __init__(self, model: StreamingModel, channels: Channels, temperature: float = 0.0) -> None:
        self.model, self.channels, self.temperature = model, channels, temperature

    def start(self, episodes: int, generator: np.random.Generator) -> None:
        """See `Policy.start`."""
        self.stream, self.state = self.model.prepared(), None
        self.generator = torch.Generator().manual_seed(int(generator.integers(2**62)))

    @torch.inference_mode()
    def act(self, states: Rows, observations: Rows, before: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `Policy.act`; whole states are not looked at."""
        inputs = packed(self.channels, observations, before)
        parameters, self.state = self.stream(inputs, self.state)
        return self.model.head.sample(parameters, self.temperature, self.generator).numpy()

    state: Any


def packed(channels: Channels, observations: Rows, before: NDArray[np.int64]) -> Tensor:
    """A step as a model takes it in.

    Args:
        channels: the observations, then the last action.
        observations: `[..., C]`.
        before: the last actions, int64 `[...]`; -1 where there was none.

    Returns:
        float32 `[..., 2 (C + 1)]`.
    """
    last = np.where(before < 0, np.nan, before)[..., None]
    return torch.from_numpy(channels.pack(np.concatenate([observations, last], axis=-1)))
