"""Rollouts of a world model go on without the world: later observations are not seen, actions are."""

import pytest
import torch

from memtrain.batch import SequenceBatch
from memtrain.networks import Categorical, Channel, Channels, Interface, NetworkOptions
from memtrain.networks.heads import Gaussian
from memtrain.training import DMTModule
from memtrain.training.step import Step
from memtrain.trajectory import Windows

PLACE, ACTION = Channel("place"), Channel("action", "action", categories=2)
WORLD = Interface(Channels([PLACE, ACTION]), Gaussian([PLACE]))
SMALL = NetworkOptions(width=8, memory_tokens=2, heads=1, head_dimension=8)


def batch_of(seed: int = 0) -> SequenceBatch:
    """Three sequences of 6 steps: where one is, and what was done before."""
    generator = torch.Generator().manual_seed(seed)
    places, actions = torch.randn(3, 7, generator=generator), torch.randint(0, 2, (3, 7), generator=generator).float()
    inputs = torch.stack([places, actions, torch.ones_like(places), torch.ones_like(places)], dim=-1)
    ahead = torch.stack([1 - actions, actions], dim=-1)
    targets = places[:, 1:, None]
    return SequenceBatch(
        inputs[:, :-1], targets, torch.ones_like(targets, dtype=torch.bool), torch.arange(3), ahead[:, 1:]
    )


def states_of(batch: SequenceBatch, observed: int | None) -> torch.Tensor:
    torch.manual_seed(0)
    module = DMTModule(interface=WORLD, network=SMALL, windows=Windows(observed=observed)).eval()
    return module.roll(Step.alone(batch)).states.detach()


def test_after_the_observed_steps_places_change_nothing_and_actions_do() -> None:
    batch = batch_of()
    other_places, other_actions = batch.inputs.clone(), batch.inputs.clone()
    other_places[:, 2:, 0] += 3
    other_actions[:, 2:, 1] = 1 - other_actions[:, 2:, 1]
    before = states_of(batch, observed=2)
    assert torch.equal(states_of(batch._replace(inputs=other_places), observed=2), before)
    acted = states_of(batch._replace(inputs=other_actions), observed=2)
    assert torch.equal(acted[:, :2], before[:, :2])
    assert not torch.allclose(acted[:, 2:], before[:, 2:])
    assert not torch.allclose(states_of(batch._replace(inputs=other_places), observed=None), before)


def test_a_rollout_that_is_observed_for_longer_than_it_lasts_is_observed() -> None:
    batch = batch_of()
    assert torch.equal(states_of(batch, observed=9), states_of(batch, observed=None))


def test_tokens_cannot_be_left_unobserved() -> None:
    module = DMTModule(interface=Interface.of_tokens(5), network=SMALL, windows=Windows(observed=1))
    tokens = SequenceBatch.of(torch.zeros(2, 4, dtype=torch.long), torch.zeros(2, 4, dtype=torch.long), torch.arange(2))
    with pytest.raises(ValueError, match=r"model.windows.observed is given, but the inputs are 5 tokens"):
        module.roll(Step.alone(tokens))
    assert isinstance(module.interface.outputs, Categorical)
