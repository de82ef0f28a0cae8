"""What the synthetic probes of numbers share: series drawn in blocks, and losses of predictors that know their law."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memtrain.data.blocks import Blocks, Split
from memtrain.data.numbers import NumberDataModule, NumberDataset, NumberRows
from memtrain.data.sampler import ENDLESS
from memtrain.networks.channels import Channel, Channels
from memtrain.networks.heads import NumberOutputs
from memtrain.networks.interface import Interface

Reals = NDArray[np.float64]


class Series(NamedTuple):
    """Samples as a probe draws them, before they are packed.

    Attributes:
        rows: all C channels, NaN where missing, float64 `[B, T + 1, C]`; the last row serves as what is known ahead.
        targets: float64 `[B, T, C']`.
        mask: bool, the same shape, True where there is a target.
        regime: which regime each target lies in, 0 for none, int64 `[B, T]`.
    """

    rows: Reals
    targets: Reals
    mask: NDArray[np.bool_]
    regime: NDArray[np.int64]


class NumberProbeDataset(NumberDataset):
    """One split of a probe of numbers.

    Args:
        generate: `generate(generator, samples)` draws that many series; picklable.
        channels: of the rows.
        regimes: whether the probe has regimes.
        seed: the run's seed (training split only).
        split: "train", "val" or "test", each with random numbers of its own.
        samples: number of samples.
    """

    def __init__(
        self,
        generate: Callable[[np.random.Generator, int], Series],
        channels: Channels,
        regimes: bool,
        seed: int,
        split: Split,
        samples: int,
    ) -> None:
        super().__init__(samples)
        self.blocks = Blocks(generate, seed, split)
        self.channels, self.regimes = channels, regimes

    def series(self, indices: NDArray[np.int64]) -> Series:
        """The samples at `indices` `[B]`, as they were drawn."""
        return Series(*self.blocks.take(indices))

    def rows(self, indices: NDArray[np.int64]) -> NumberRows:
        """The samples at `indices` `[B]`, packed."""
        series = self.series(indices)
        return NumberRows(
            self.channels.pack(series.rows[:, :-1]),
            series.targets.astype(np.float32),
            series.mask,
            self.channels.pack_ahead(series.rows[:, 1:]) if self.channels.known_ahead else None,
            series.regime if self.regimes else None,
        )


class NumberProbe(NumberDataModule):
    """Base of the synthetic probes of numbers: endless training samples, fixed evaluation samples, losses known.

    The law that draws the series is known, and so are the losses of two predictors, in nats per target, computed in
    float64 on the very targets of the test split: what the law of chance does to these targets is in all three losses,
    and a model's loss less the best one is what the model itself lacks.

    - `best_possible_loss`: the exact distribution of each target, given all rows so far and what is known ahead.
    - `memoryless_loss`: the exact one given the last row, what is known ahead, and the number of rows so far, alone.
      No predictor without memory is better in the mean.

    Targets have scale 1, so these are nats of the data's own units.

    Args:
        length: timesteps T.
        **options: see `SequenceDataModule`.
    """

    regime_names: ClassVar[list[str]] = []
    """Names of the regimes 1, 2 and so on; the losses within each are reference lines of their own."""

    def __init__(self, length: int, **options: Any) -> None:
        self.length = length
        super().__init__(**options)

    @property
    def sequence_length(self) -> int:
        """Timesteps T."""
        return self.length

    @abstractmethod
    def channels(self) -> list[Channel]:
        """Return the channels of the rows."""

    @abstractmethod
    def outputs(self) -> NumberOutputs:
        """Return what the targets are."""

    @abstractmethod
    def generator(self) -> Callable[[np.random.Generator, int], Series]:
        """Return the function `(generator, samples) -> Series`, with its options filled in."""

    @abstractmethod
    def bayes_losses(self, series: Series) -> Reals:
        """Return the loss of each target of the best predictor, `[B, T, C']`, any number where there is none."""

    @abstractmethod
    def memoryless_losses(self, series: Series) -> Reals:
        """Return that of the best predictor without memory, `[B, T, C']`, any number where there is none."""

    def interface(self) -> Interface:
        """See `SequenceDataModule.interface`."""
        return Interface(Channels(self.channels()), self.outputs())

    def build_dataset(self, split: Split) -> NumberProbeDataset:
        """Make one split."""
        samples = ENDLESS if split == "train" else self.evaluation_samples
        channels = Channels(self.channels())
        return NumberProbeDataset(self.generator(), channels, bool(self.regime_names), self.seed, split, samples)

    def reference_lines(self) -> dict[str, float]:
        """Return `best_possible_loss` and `memoryless_loss`, and both by regime: `best_possible_loss_rare`.

        A regime that holds no target of the test split has no lines.
        """
        dataset = self.dataset("test")
        assert isinstance(dataset, NumberProbeDataset)
        series = dataset.series(np.arange(len(dataset)))
        losses = {"best_possible_loss": self.bayes_losses(series), "memoryless_loss": self.memoryless_losses(series)}
        lines = {name: float(values[series.mask].mean()) for name, values in losses.items()}
        for number, regime in enumerate(self.regime_names, start=1):
            wanted = series.mask & (series.regime == number)[..., None]
            if wanted.any():
                lines |= {f"{name}_{regime}": float(values[wanted].mean()) for name, values in losses.items()}
        return lines


def gaussian_losses(values: Reals, mean: Reals | float, variance: Reals | float) -> Reals:
    """Negative log-likelihood of values under normal distributions, in nats; all three broadcast."""
    return 0.5 * (np.log(2 * np.pi * np.asarray(variance)) + (values - mean) ** 2 / variance)


def pairs_of_rows(rows: Reals) -> Reals:
    """Each row with the one after it, `[B, T + 1, ...]` to `[B * T, 2, ...]`: all that a memoryless predictor has."""
    pairs = np.stack([rows[:, :-1], rows[:, 1:]], axis=2)
    return pairs.reshape(-1, *pairs.shape[2:])
