"""A few batches of numbers for every kind of output, which the tests of the stages share."""

from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from memtrain.batch import SequenceBatch
from memtrain.networks import (
    Bernoulli,
    Categorical,
    Channel,
    Channels,
    Gaussian,
    Interface,
    Mixture,
    NegativeBinomial,
    OutputDescription,
    Quantiles,
    Several,
    StudentT,
)

LENGTH = 7
INPUTS = Channels([Channel("load"), Channel("price"), Channel("hour", "known")])
TARGETS = [Channel("load", center=2.0), Channel("price", scale=3.0)]
GROUPS: dict[str, Any] = {"regimes": ["storm"], "extremes": [1.0, 1.0]}
OUTPUTS: dict[str, OutputDescription] = {
    "gaussian": Gaussian(TARGETS, score="loss_storm", **GROUPS),
    "student": StudentT(TARGETS, seasonal_errors=[0.5, 0.5], score="mase", **GROUPS),
    "mixture": Mixture(TARGETS, score="crps", **GROUPS),
    "heavy mixture": Mixture(TARGETS, components=2, heavy_tails=True, **GROUPS),
    "binomial": NegativeBinomial(TARGETS, **GROUPS),
    "quantiles": Quantiles(TARGETS, **GROUPS),
    "event": Bernoulli(TARGETS, score="auprc", **GROUPS),
    "several": Several({"load": Gaussian(TARGETS[:1]), "state": Categorical(3), "event": Bernoulli(TARGETS[1:])}),
}


def interface(name: str) -> Interface:
    """Three channels in, one of them known ahead; the named outputs out."""
    return Interface(INPUTS, OUTPUTS[name])


def random_batch(name: str, seed: int = 0, size: int = 3) -> SequenceBatch:
    """Two targets of three are there, never none at all; those that are not are 0."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(size, LENGTH + 1, 3, generator=generator).double().numpy()
    mask = torch.rand(size, LENGTH, OUTPUTS[name].columns, generator=generator) < 0.67
    mask[:, -1] = True
    regime = torch.randint(0, 2, (size, LENGTH), generator=generator)
    inputs, ahead = torch.from_numpy(INPUTS.pack(rows[:, :-1])), torch.from_numpy(INPUTS.pack_ahead(rows[:, 1:]))
    values = targets(name, torch.randn(mask.shape, generator=generator)).masked_fill(~mask, 0.0)
    return SequenceBatch(inputs, values, mask, torch.arange(size), ahead, regime)


def targets(name: str, numbers: Tensor) -> Tensor:
    """Counts, events or numbers, made of numbers."""
    if name == "several":
        load, state, event = numbers.unbind(-1)
        return torch.stack([load, (state + 1.5).round().clamp(0, 2), (event > 0).float()], dim=-1)
    if name == "event":
        return (numbers > 0).float()
    return numbers.exp().round() if name == "binomial" else numbers


class NumberBatches(LightningDataModule):
    """The same few random batches for training and evaluation.

    Args:
        name: of the outputs.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def train_dataloader(self) -> DataLoader:
        return DataLoader([random_batch(self.name, seed) for seed in range(10)], batch_size=None)

    def val_dataloader(self) -> DataLoader:
        return DataLoader([random_batch(self.name, 1000), random_batch(self.name, 1001, 2)], batch_size=None)

    test_dataloader = predict_dataloader = val_dataloader
