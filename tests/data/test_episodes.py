"""Logs of behavior: rows by hand, files of several recorders, and refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memtrain.data import EpisodesDataModule
from memtrain.data.episode_files import Episodes, read_episodes
from memtrain.data.episodes import EpisodeDataset
from memtrain.networks import Categorical, Channel, Channels

TWO = Episodes(  # episodes of 3 and 2 steps, observations 10.. and actions 0..2
    np.arange(10.0, 15.0)[:, None], np.array([0, 1, 2, 1, 0]), np.zeros(5), np.array([3, 2])
)
CHANNELS = Channels([Channel("x"), Channel("action", categories=3)])


def split_of(target: str, window: int, channels: Channels = CHANNELS) -> EpisodeDataset:
    return EpisodeDataset(TWO, channels, target, window, window, 0, "val", 100)  # type: ignore[arg-type]


def test_cloning_by_hand() -> None:
    """Row t holds the observation and the action before; the target is the action taken then; padding has no target."""
    batch = split_of("action", 4).__getitems__([0, 1])
    assert batch.inputs[0].tolist() == [[10, 0, 1, 0], [11, 0, 1, 1], [12, 1, 1, 1], [0, 0, 0, 0]]
    assert batch.targets[0].tolist() == [0, 1, 2, 0]
    assert batch.mask.tolist() == [[True] * 3 + [False], [True] * 2 + [False] * 2]
    assert batch.targets[1, :2].tolist() == [1, 0]
    assert batch.inputs[1, 0].tolist() == [13, 0, 1, 0]  # no action comes over from the episode before
    assert batch.ahead is None


def test_a_world_model_predicts_the_next_observation_given_the_action() -> None:
    channels = Channels([Channel("x"), Channel("action", "action", categories=3)])
    batch = split_of("next", 3, channels).__getitems__([0, 1])
    assert batch.targets[..., 0].tolist() == [[11, 12, 0], [14, 0, 0]]
    assert batch.mask[..., 0].tolist() == [[True, True, False], [True, False, False]]
    assert batch.ahead is not None
    assert batch.ahead[0, :2].tolist() == [[1, 0, 0], [0, 1, 0]]  # actions 0 and 1 lead to 11 and 12


def test_long_episodes_are_cut_into_windows_that_cover_each_step() -> None:
    batch = split_of("action", 2).__getitems__([0, 1, 2])
    assert batch.inputs[..., 0].tolist() == [[10, 11], [12, 0], [13, 14]]
    assert batch.inputs[1, 0].tolist() == [12, 1, 1, 1]  # inside an episode the action before is known


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 5), st.integers(1, 5))
def test_every_step_of_every_episode_is_in_a_window(lengths: list[int], window: int, stride: int) -> None:
    total = sum(lengths)
    episodes = Episodes(
        np.arange(total, dtype=float)[:, None], np.zeros(total, int), np.zeros(total), np.array(lengths)
    )
    dataset = EpisodeDataset(episodes, CHANNELS, "action", window, min(stride, window), 0, "val", 10**6)
    batch = dataset.__getitems__(range(len(dataset)))
    assert set(batch.inputs[..., 0][batch.mask].tolist()) == set(range(total))
    owners = np.repeat(np.arange(len(lengths)), lengths)
    for row, mask in zip(batch.inputs[..., 0], batch.mask, strict=True):
        assert len(set(owners[row[mask].long().numpy()])) == 1


def write(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


OBSERVATIONS, ACTIONS = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 3
ENDS = np.arange(60) % 5 == 4


def test_logs_train_without_saying_how_many_actions_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "logs.npz", observations=OBSERVATIONS, actions=ACTIONS, terminals=ENDS)
    data = EpisodesDataModule(str(path), window=5, batch_size=2)
    data.setup("fit")
    assert data.interface().outputs == Categorical(3)
    assert [len(part.lengths) for part in data.episodes.values()] == [10, 1, 1]
    training = data.episodes["train"].observations
    assert data.channels.channels[0].center == pytest.approx(training[:, 0].mean())
    batch = next(iter(data.train_dataloader()))
    assert batch.inputs.shape == (2, 5, 6)
    assert batch.mask.all()
    assert 0 <= data.reference_lines()["chance"] <= 1


def test_every_episode_is_in_one_split_the_same_in_every_run(tmp_path: Path) -> None:
    path = write(tmp_path / "logs.npz", observations=np.arange(60.0), actions=ACTIONS, ends=ENDS)
    one, other = (EpisodesDataModule(str(path), window=5, held_out=0.5, seed=seed).episodes for seed in (0, 1))
    assert [len(one[split].lengths) for split in ("train", "val", "test")] == [6, 3, 3]
    assert sorted(np.concatenate([part.observations for part in one.values()]).ravel()) == list(range(60))
    assert all(np.array_equal(one[split].observations, other[split].observations) for split in one)


def test_actions_that_are_numbers_have_scales(tmp_path: Path) -> None:
    actions = np.stack([np.arange(60.0), -np.arange(60.0)], axis=1)
    path = write(tmp_path / "logs.npz", observations=OBSERVATIONS, actions=actions, ends=ENDS)
    data = EpisodesDataModule(str(path), window=5, batch_size=2)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.targets.shape == batch.mask.shape == (2, 5, 2)
    channel = data.channels.channels[2]
    assert torch.allclose(batch.targets[..., 0], -batch.targets[..., 1])
    assert channel.unscaled(batch.targets[0, 0, :1].numpy())[0] == pytest.approx(round(actions[0, 0]), abs=60)


def test_minari_and_d4rl_files_give_the_same_episodes(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="pip install 'memtrain[control]'")
    with h5py.File(tmp_path / "minari.hdf5", "w") as file:
        for episode in range(12):
            group, rows = file.create_group(f"episode_{episode}"), slice(5 * episode, 5 * episode + 5)
            last = np.zeros((1, 2))  # Minari also keeps what was seen after the last action
            group["observations"] = np.concatenate([OBSERVATIONS[rows], last])
            group["actions"], group["rewards"] = ACTIONS[rows], np.ones(5)
    with h5py.File(tmp_path / "d4rl.hdf5", "w") as file:
        file["observations"], file["actions"], file["rewards"] = OBSERVATIONS, ACTIONS, np.ones(60)
        file["terminals"], file["timeouts"] = ENDS & (np.arange(60) < 30), ENDS & (np.arange(60) >= 30)
    one, other = (read_episodes(tmp_path / name) for name in ("minari.hdf5", "d4rl.hdf5"))
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"actions": ACTIONS}, "has no array observations"),
        ({"observations": OBSERVATIONS[:7], "actions": ACTIONS}, "7 observations for 60 actions"),
        ({"observations": OBSERVATIONS, "actions": ACTIONS, "rewards": np.ones(3)}, "rewards"),
        ({"observations": OBSERVATIONS, "actions": ACTIONS, "lengths": np.array([5, 5])}, "sum up to 10"),
        ({"observations": OBSERVATIONS, "actions": ACTIONS, "ends": ENDS[:9]}, "says of .9. steps"),
        ({"observations": OBSERVATIONS, "actions": ACTIONS.astype(str)}, "must have numbers"),
        ({"observations": OBSERVATIONS, "actions": ACTIONS}, "has 1 episodes, too few"),
        ({"observations": OBSERVATIONS, "actions": ACTIONS - 1, "ends": ENDS}, "whole numbers below 0"),
        ({"observations": OBSERVATIONS * np.nan, "actions": ACTIONS, "ends": ENDS}, "no value in the training"),
        ({"observations": OBSERVATIONS * np.inf, "actions": ACTIONS, "ends": ENDS}, "observations that are infinite"),
        ({"observations": OBSERVATIONS.astype(str), "actions": ACTIONS}, "observations of <U"),
        ({"observations": np.float64(3), "actions": ACTIONS}, r"observations of float64 \(\)"),
        ({"observations": OBSERVATIONS[:, :0], "actions": ACTIONS}, r"observations of float64 \(60, 0\)"),
        ({"observations": OBSERVATIONS, "actions": np.zeros((60, 2, 2))}, "must be .R. or .R, A."),
        ({"observations": OBSERVATIONS, "actions": ACTIONS, "ends": np.array(["no"] * 60)}, "ends of <U"),
    ],
)
def test_wrong_logs_get_one_sentence(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    path = write(tmp_path / "logs.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        EpisodesDataModule(str(path), window=5).interface()


def test_what_is_no_file_of_logs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data.path is .*missing.npz, but there is no such file"):
        read_episodes(tmp_path / "missing.npz")
    (tmp_path / "logs.csv").write_text("a,b")
    with pytest.raises(ValueError, match=r"logs.csv, but must end in .npz, .hdf5"):
        read_episodes(tmp_path / "logs.csv")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(ValueError, match=r"broken.npz is not a readable NumPy archive"):
        read_episodes(tmp_path / "broken.npz")
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, OBSERVATIONS)
    with pytest.raises(ValueError, match=r"it holds one array without a name"):
        read_episodes(tmp_path / "one.npz")


def test_what_is_no_hdf5_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="pip install 'memtrain[control]'")
    (tmp_path / "broken.hdf5").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(ValueError, match=r"broken.hdf5 is not a readable HDF5 file"):
        read_episodes(tmp_path / "broken.hdf5")


def test_two_actions_may_be_true_and_false_and_ends_may_be_a_column(tmp_path: Path) -> None:
    path = write(
        tmp_path / "logs.npz", observations=OBSERVATIONS[:, 0], actions=ACTIONS[:, None] > 0, ends=ENDS[:, None]
    )
    data = EpisodesDataModule(str(path), window=5)
    assert data.interface().outputs == Categorical(2)
    assert len(read_episodes(path).lengths) == 12


@pytest.mark.parametrize("actions", [np.arange(60.0), np.stack([ACTIONS, ACTIONS], axis=1)])
def test_one_number_or_several_whole_numbers_are_an_action_of_numbers(actions: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "logs.npz", observations=OBSERVATIONS, actions=actions, ends=ENDS)
    data = EpisodesDataModule(str(path), window=5)
    data.setup("validate")
    first, channel = data.dataset("val").__getitems__([0]).targets[0, :, 0].numpy(), data.channels.channels[2]
    column = actions.reshape(60, -1)[:, 0].reshape(12, 5)
    assert any(np.allclose(channel.unscaled(first), episode, atol=1e-4) for episode in column)


def test_a_missing_action_is_no_target_and_a_constant_one_keeps_its_unit(tmp_path: Path) -> None:
    actions = np.stack([np.where(ENDS, np.nan, np.arange(60.0)), np.full(60, 0.1)], axis=1)
    path = write(tmp_path / "logs.npz", observations=OBSERVATIONS, actions=actions, ends=ENDS)
    data = EpisodesDataModule(str(path), window=5)
    data.setup("validate")
    batch = data.dataset("val").__getitems__([0])
    assert batch.mask[0].tolist() == [[True, True]] * 4 + [[False, True]]
    assert batch.targets[0, 4, 0] == 0
    assert data.channels.channels[3].scale == 1
