"""Logs of behavior as sequences: clone what was done (`action`), or predict what it led to (`next`)."""

from abc import abstractmethod
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from memtrain.data.blocks import EVALUATION_SEED, Passes, Split
from memtrain.data.episode_files import Episodes, Rows, read_episodes
from memtrain.data.numbers import NumberDataModule, NumberDataset, NumberRows
from memtrain.data.sampler import ENDLESS
from memtrain.data.scales import scaled_channel
from memtrain.data.tables.windows import within
from memtrain.files import expanded
from memtrain.limits import require_at_least, require_between
from memtrain.networks.channels import Channel, Channels, Role
from memtrain.networks.heads import Categorical, Gaussian, OutputDescription
from memtrain.networks.interface import Interface

LearnedTarget = Literal["action", "next"]


class EpisodeDataset(NumberDataset):
    """One split: windows of T steps of episodes, padded at the end of an episode with steps that nobody sees.

    Row t holds the observation before action t, and the action before that (missing at the first step of an episode).

    Args:
        episodes: of this split.
        channels: observations, then the last action.
        target: what is predicted; see `EpisodesDataModule`.
        window: timesteps, T.
        stride: steps from one window of an episode to the next.
        seed: the run's seed (training split only).
        split: "train", "val" or "test".
        samples: evaluation windows wanted; fewer if there are fewer.
    """

    def __init__(
        self,
        episodes: Episodes,
        channels: Channels,
        target: LearnedTarget,
        window: int,
        stride: int,
        seed: int,
        split: Split,
        samples: int,
    ) -> None:
        self.episodes, self.channels, self.target, self.window = episodes, channels, target, window
        counts = 1 + np.maximum(0, -(-(episodes.lengths - window) // stride))  # windows of each episode
        self.first = np.repeat(episodes.starts, counts) + within(counts) * stride
        self.end = np.repeat(episodes.starts + episodes.lengths, counts)
        super().__init__(ENDLESS if split == "train" else min(samples, len(self.first)))
        self.passes = Passes(split, seed, len(self.first))
        self.table = table_of(episodes)

    def rows(self, indices: NDArray[np.int64]) -> NumberRows:
        """See `NumberDataset.rows`."""
        chosen = self.passes.rows(indices)
        at = self.first[chosen, None] + np.arange(self.window + 1)  # one row more, which the last target lies in
        inside = at < self.end[chosen, None]
        at = np.where(inside, at, 0)
        rows = np.where(inside[..., None], self.table[at], np.nan)
        inputs, now, later = self.channels.pack(rows[:, :-1]), inside[:, :-1], inside[:, 1:]
        if self.target == "action":
            return self.behavior(inputs, self.episodes.actions[at[:, :-1]], now)
        packed = self.channels.pack(rows[:, 1:])
        numbers = self.episodes.observations.shape[1]
        values, observed = packed[..., :numbers], packed[..., len(self.channels.channels) :][..., :numbers]
        mask = (observed > 0) & later[..., None]
        return NumberRows(inputs, values, mask, self.channels.pack_ahead(rows[:, 1:]))

    def behavior(self, inputs: NDArray[np.float32], actions: NDArray[Any], mask: NDArray[np.bool_]) -> NumberRows:
        """Rows whose targets are the actions `[B, T]` or `[B, T, A]`."""
        if actions.ndim == mask.ndim:
            return NumberRows(inputs, np.where(mask, actions, 0), mask)
        scaled = np.stack([c.scaled(actions[..., i]) for i, c in enumerate(self.actions)], axis=-1)
        known = mask[..., None] & ~np.isnan(scaled)
        return NumberRows(inputs, np.where(known, scaled, 0.0).astype(np.float32), known)

    @property
    def actions(self) -> list[Channel]:
        """The channels of the last action."""
        return self.channels.channels[self.episodes.observations.shape[1] :]


class BehaviorDataModule(NumberDataModule):
    """Base of data sets of logged behavior.

    Args:
        target: `action`: the action that was taken after each observation (behavioral cloning). `next`: the next
            observation, given the action (a world model).
        window: timesteps of a sequence, T; shorter episodes are padded, longer ones cut.
        stride: steps from one training window of an episode to the next; null: `window`.
        held_out: share of the episodes held out, half for validation and half for test.
        **options: see `SequenceDataModule`.
    """

    def __init__(
        self,
        target: LearnedTarget = "action",
        window: int = 64,
        stride: int | None = None,
        held_out: float = 0.2,
        **options: Any,
    ) -> None:
        if target not in get_args(LearnedTarget):
            raise ValueError(f"data.target is {target!r}, but must be action or next; choose one of them.")
        require_at_least("data.window", window, 1, example=64)
        require_at_least("data.stride", 1 if stride is None else stride, 1, example=window)
        require_between("data.held_out", held_out, 0.01, 0.9, example=0.2)
        self.target, self.window, self.held_out = target, window, held_out
        self.stride = window if stride is None else stride
        super().__init__(**options)

    @abstractmethod
    def read(self) -> Episodes:
        """All episodes; the same at every call."""

    @property
    def sequence_length(self) -> int:
        """Timesteps T."""
        return self.window

    @cached_property
    def episodes(self) -> dict[Split, Episodes]:
        """The episodes of each split: whole ones, in one fixed random order."""
        found = self.read()
        count = len(found.lengths)
        held = max(2, round(count * self.held_out))
        if held >= count:
            raise ValueError(
                f"The log has {count} episodes, too few for three splits with data.held_out {self.held_out}; record "
                "more, or say where each ends in an array terminals."
            )
        order = np.random.default_rng(EVALUATION_SEED).permutation(count)
        parts: dict[Split, NDArray[np.int64]] = {
            "train": order[held:],
            "val": order[: held // 2],
            "test": order[held // 2 : held],
        }
        return {split: chosen(found, part) for split, part in parts.items()}

    @cached_property
    def channels(self) -> Channels:
        """Observations and the last action, with the scales of the training split."""
        training = self.episodes["train"]
        observed = [
            channel_of(name, "observed", training.observations[:, i])
            for i, name in enumerate(self.observation_names(training))
        ]
        role: Role = "observed" if self.target == "action" else "action"
        if self.categories:
            return Channels([*observed, Channel("action", role, self.categories)])
        columns = np.asarray(training.actions, dtype=np.float64).reshape(len(training.actions), -1)
        return Channels([*observed, *(channel_of(f"action_{i}", role, c) for i, c in enumerate(columns.T))])

    @cached_property
    def categories(self) -> int:
        """Number of different actions; 0 where they are numbers."""
        parts = [part.actions for part in self.episodes.values()]
        if parts[0].ndim > 1:
            return 0
        if min(part.min() for part in parts) < 0:
            raise ValueError("The actions are whole numbers below 0, but categories count 0, 1, 2; record them so.")
        return 1 + int(max(part.max() for part in parts))

    def observation_names(self, episodes: Episodes) -> list[str]:
        """A name for each observed number."""
        return [f"observation_{i}" for i in range(episodes.observations.shape[1])]

    def interface(self) -> Interface:
        """See `SequenceDataModule.interface`."""
        outputs: OutputDescription
        numbers = len(self.episodes["train"].observations[0])
        if self.target == "next":
            outputs = Gaussian(self.channels.channels[:numbers])
        elif self.categories:
            outputs = Categorical(self.categories)
        else:
            outputs = Gaussian(self.channels.channels[numbers:])
        return Interface(self.channels, outputs)

    def build_dataset(self, split: Split) -> EpisodeDataset:
        """See `SequenceDataModule.build_dataset`; windows of evaluation do not overlap."""
        stride = self.stride if split == "train" else self.window
        return EpisodeDataset(
            self.episodes[split],
            self.channels,
            self.target,
            self.window,
            stride,
            self.seed,
            split,
            self.evaluation_samples,
        )

    def reference_lines(self) -> dict[str, float]:
        """`chance`: how often the action that is most frequent in training is right on the test split."""
        if self.target == "next" or not self.categories:
            return {}
        likeliest = np.bincount(self.episodes["train"].actions).argmax()
        return {"chance": float((self.episodes["test"].actions == likeliest).mean())}


class EpisodesDataModule(BehaviorDataModule):
    """Logs of behavior that you have: an `.npz` or HDF5 file, as Minari and D4RL write it.

    Args:
        path: the file; see `memtrain.data.episode_files.read_episodes`.
        **options: see `BehaviorDataModule` and `SequenceDataModule`.
    """

    def __init__(self, path: str, **options: Any) -> None:
        self.path = path
        super().__init__(**options)

    def read(self) -> Episodes:
        """See `BehaviorDataModule.read`."""
        return read_episodes(expanded("data.path", self.path))


def chosen(episodes: Episodes, which: NDArray[np.int64]) -> Episodes:
    """Some of the episodes, in this order."""
    lengths = episodes.lengths[which]
    rows = np.repeat(episodes.starts[which], lengths) + within(lengths)
    return Episodes(episodes.observations[rows], episodes.actions[rows], episodes.rewards[rows], lengths)


def table_of(episodes: Episodes) -> Rows:
    """Each row's observation and the action before it, NaN at the first step of an episode: `[R, C + A]`."""
    actions = np.asarray(episodes.actions, dtype=np.float64).reshape(len(episodes.actions), -1)
    before = np.roll(actions, 1, axis=0)
    before[episodes.starts] = np.nan
    return np.concatenate([episodes.observations, before], axis=1)


def channel_of(name: str, role: Role, values: Rows) -> Channel:
    """A channel of numbers, with the scale that they have in the training episodes."""
    if np.isnan(values).all():
        raise ValueError(f"{name} has no value in the training episodes; leave it out.")
    return scaled_channel(name, role, values, "standard")
