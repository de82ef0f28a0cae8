"""What every data set shares: splits read by position, loaders, mid-epoch resuming."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from memtrain.batch import SequenceBatch
from memtrain.data.blocks import Split
from memtrain.data.sampler import ENDLESS, EvaluationSampler, TrainingSampler
from memtrain.data.seen import require_same_files, seen_files
from memtrain.limits import require_at_least
from memtrain.networks.interface import Interface

CHECKED_ROWS = 256
"""The first rows of a split, which are looked at before any is used."""


class SequenceDataset(Dataset[SequenceBatch], ABC):
    """One split: sample `i` is a pure function of (seed, split, i).

    A loader asks for a whole batch at once (`__getitems__`), so producing one is an index operation, not a
    loop.

    Args:
        samples: number of samples.
    """

    def __init__(self, samples: int) -> None:
        self.samples = samples

    @abstractmethod
    def batch(self, indices: NDArray[np.int64]) -> SequenceBatch:
        """Return the samples at `indices` `[B]`.

        A training split has `ENDLESS` samples; one of few rows takes them in one random order after another, as
        `memtrain.data.ArrayDataset` does with rows that are at hand.
        """

    def __len__(self) -> int:
        return self.samples

    def __getitems__(self, indices: Sequence[int]) -> SequenceBatch:
        positions = np.asarray(indices, dtype=np.int64)
        past_end = positions >= self.samples  # only from EvaluationSampler, to give every rank equally many rows
        if not past_end.any():
            return self.batch(positions)
        batch, filling = self.batch(np.where(past_end, 0, positions)), torch.from_numpy(past_end)
        mask = batch.mask & ~filling.view(-1, *[1] * (batch.mask.dim() - 1))
        return batch._replace(mask=mask, index=batch.index.masked_fill(filling, -1))

    def __getitem__(self, index: int) -> SequenceBatch:
        """Return one sample, without a batch axis."""
        if not 0 <= index < self.samples:
            raise IndexError(f"sample {index} was asked for, but the split has samples 0..{self.samples - 1}.")
        return self.__getitems__([index]).map(lambda tensor: tensor[0])


def as_batch(batch: SequenceBatch) -> SequenceBatch:
    """Collate nothing: `SequenceDataset.__getitems__` has already made the batch."""
    return batch


class SequenceDataModule(LightningDataModule, ABC):
    """Base of all data sets.

    The training split is endless: give the Trainer `max_steps`. Resuming from a checkpoint continues with
    exactly the next sample, also with another number of ranks, because a checkpoint records how many
    samples have been consumed.

    Args:
        batch_size: samples per optimizer batch on each rank. More is steadier but slower per step.
        evaluation_samples: samples in each of the validation and test sets (fewer if files hold fewer).
            More gives finer figures and slower evaluation.
        evaluation_batch_size: samples per batch in evaluation. Less takes less memory; loss and accuracy stay, but
            drift, uniformity and effective rank are read on the first batch alone, and so are learning curves where
            `limit_val_batches` is 1: compare runs of the same size only.
        workers: processes that prepare batches beside training. 0 (in the training process) is enough for
            probes; raise it if the profiler shows the loader waiting.
        seed: moves the training stream only; evaluation sets are the same for every seed. Set by `seed_everything`.
    """

    difficulty_name: ClassVar[str | None] = None
    """Name of the option that holds the difficulty; None where a data set has none."""

    def __init__(
        self,
        batch_size: int = 32,
        evaluation_samples: int = 1024,
        evaluation_batch_size: int = 256,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        require_at_least("data.batch_size", batch_size, 1, example=32)
        require_at_least("data.evaluation_samples", evaluation_samples, 1, example=1024)
        require_at_least("data.evaluation_batch_size", evaluation_batch_size, 1, example=256)
        require_at_least("data.workers", workers, 0)
        require_at_least("data.seed", seed, 0)
        self.batch_size = batch_size
        self.evaluation_samples = evaluation_samples
        self.evaluation_batch_size = evaluation_batch_size
        self.workers = workers
        self.seed = seed
        self._datasets: dict[Split, SequenceDataset] = {}
        self._resumed = {"batches": 0, "samples": 0}
        self._files: dict[str, dict[str, str]] | None = None  # known where the run trains

    # What a data set must say about itself.

    @abstractmethod
    def interface(self) -> Interface:
        """What goes into a network and what comes out; known before `prepare_data`."""

    @property
    @abstractmethod
    def sequence_length(self) -> int:
        """Number of timesteps T; follows from the options alone."""

    @abstractmethod
    def build_dataset(self, split: Split) -> SequenceDataset:
        """Make one split; called once each, after `prepare_data`."""

    @abstractmethod
    def reference_lines(self) -> dict[str, float]:
        """Return figures to hold results against, on the test split.

        Returns:
            Some of `chance`, `shortcut_accuracy`, `best_possible` (accuracies in [0, 1]), `unigram_entropy`,
            `bigram_entropy` (nats per target), and, for other scores, `best_possible_loss` and `memoryless_loss`
            (nats per target), `seasonal_naive_mae` and `last_value_mae` (in the targets' units). All are columns of the
            comparison; these, also of groups, as `best_possible_loss_rare`, are lines of its figure where the score is
            theirs.
        """

    @abstractmethod
    def check(self, split: Split, dataset: SequenceDataset, indices: NDArray[np.int64]) -> None:
        """Refuse a split whose first samples, those at `indices`, are not what every stage takes for granted.

        Raises:
            ValueError: naming the data set and what is wrong.
        """

    def memory_labels(self, batch: SequenceBatch) -> Tensor | None:
        """Return what a perfect memory stores, as colors int64 `[B, T]`, 0 for nothing yet; or None."""
        return None

    @property
    def difficulty(self) -> int | None:
        """The difficulty (larger is harder), or None where a data set has none."""
        return None if self.difficulty_name is None else getattr(self, self.difficulty_name)

    # Splits and loaders.

    def dataset(self, split: Split) -> SequenceDataset:
        """Return one split, made at its first use."""
        if split not in self._datasets:
            dataset = self.build_dataset(split)
            if split == "train" and len(dataset) < ENDLESS:
                raise ValueError(
                    f"The training split of {type(self).__name__} has {len(dataset)} samples, but training reads on "
                    "and on; make it a memtrain.data.ArrayDataset, or give it memtrain.data.ENDLESS samples and let "
                    "rows() draw from its own."
                )
            self.check(split, dataset, np.arange(min(CHECKED_ROWS, len(dataset)), dtype=np.int64))
            self._datasets[split] = dataset
        return self._datasets[split]

    def setup(self, stage: str | None = None) -> None:
        """Make the splits of a stage: "fit", "validate", "test", "predict", or None for all."""
        splits: dict[str | None, tuple[Split, ...]] = {
            "fit": ("train", "val"),
            "validate": ("val",),
            "test": ("test",),
            "predict": ("test",),
            None: ("train", "val", "test"),
        }
        for split in splits[stage]:
            self.dataset(split)
        if stage == "fit":  # starts at sample 0, unless Lightning restores a checkpoint's position after this
            self._resumed = {"batches": 0, "samples": 0}
            self._files = seen_files(self.hparams)

    def train_dataloader(self) -> DataLoader[SequenceBatch]:
        """Batches of the endless training split, from where the run stands."""
        dataset = self.dataset("train")
        sampler = TrainingSampler(dataset, self._ranks, self._rank, start=self._consumed_samples)
        return self._loader(dataset, sampler, self.batch_size)

    def val_dataloader(self) -> DataLoader[SequenceBatch]:
        """Batches of the validation split."""
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader[SequenceBatch]:
        """Batches of the test split."""
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader[SequenceBatch]:
        """Batches of the test split."""
        return self._evaluation_loader("test")

    def _evaluation_loader(self, split: Split) -> DataLoader[SequenceBatch]:
        dataset = self.dataset(split)
        if len(dataset) < self._ranks:
            raise ValueError(
                f"data.evaluation_samples is {len(dataset)}, but each of {self._ranks} processes needs one; "
                f"set it to at least {self._ranks}, or use fewer trainer.devices."
            )
        return self._loader(dataset, EvaluationSampler(dataset, self._ranks, self._rank), self.evaluation_batch_size)

    def _loader(
        self, dataset: SequenceDataset, sampler: TrainingSampler | EvaluationSampler, batch_size: int
    ) -> DataLoader[SequenceBatch]:
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            collate_fn=as_batch,  # type: ignore[arg-type]
            pin_memory=torch.cuda.is_available(),
        )

    # Where the run stands in the training stream.

    @property
    def _ranks(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    def _consumed_batches(self) -> int:
        """Batches that training has processed: what workers have fetched ahead does not count."""
        loop = self.trainer.fit_loop.epoch_loop if self.trainer else None
        return loop.batch_progress.total.processed if loop else 0  # type: ignore[attr-defined]

    def _consumed_samples(self) -> int:
        since = self._consumed_batches() - self._resumed["batches"]
        return self._resumed["samples"] + since * self.batch_size * self._ranks

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the training stream: batches, and samples over all ranks, consumed; and the files."""
        return {"batches": self._consumed_batches(), "samples": self._consumed_samples(), "files": self._files or {}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue after the samples that a checkpoint's run has consumed.

        Raises:
            ValueError: if the run trains, and the files that the data read have changed since.
        """
        if self._files is not None:
            require_same_files(self.hparams, self._files, state_dict.get("files"))
        self._resumed = {name: state_dict[name] for name in ("batches", "samples")}
        # Lightning looks for the position in the loader, does not find it there, and warns; it is here.
        warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch")
