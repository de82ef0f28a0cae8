"""Logs of behavior: what was seen, what was done, what followed; from .npz and HDF5 files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memtrain.data.unpacked import kind_of, open_unpacked, reading

Rows = NDArray[np.float64]
KINDS = (".npz", ".hdf5", ".h5", ".hdf")
ENDS = ("ends", "terminals", "timeouts", "terminations", "truncations")
"""Arrays that say which steps are the last of their episode, as different recorders call them."""


class Episodes(NamedTuple):
    """N episodes of R steps altogether, one after the other.

    Attributes:
        observations: what was seen before each action, `[R, C]`.
        actions: what was done then: categories, int64 `[R]`, or A numbers, float64 `[R, A]`.
        rewards: what followed, `[R]`.
        lengths: steps of each episode, int64 `[N]`.
    """

    observations: Rows
    actions: NDArray[np.int64] | Rows
    rewards: Rows
    lengths: NDArray[np.int64]

    @property
    def starts(self) -> NDArray[np.int64]:
        """The first row of each episode, int64 `[N]`."""
        return np.cumsum(self.lengths) - self.lengths

    def returns(self) -> Rows:
        """The sum of each episode's rewards, `[N]`."""
        return np.add.reduceat(self.rewards, self.starts)


def read_episodes(path: Path) -> Episodes:
    """Read a file of logs.

    Args:
        path: `.npz` or HDF5 with arrays `observations` `[R, C]`, `actions` `[R]` or `[R, A]`, one or more of `ends`,
            `terminals`, `timeouts`, `terminations`, `truncations` (True at the last step of an episode) or `lengths`,
            and, if there are any, `rewards`; or HDF5 as Minari writes it, a group `episode_0` and so on for each
            episode, whose observations may have one row more than its actions.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: naming what is missing or does not fit.
    """
    if not path.is_file():
        raise FileNotFoundError(f"data.path is {path}, but there is no such file; give an .npz or HDF5 file of logs.")
    if kind_of(path) not in KINDS:
        raise ValueError(f"data.path is {path}, but must end in {', '.join(KINDS)}; give a file of logs.")
    groups = read_npz(path) if kind_of(path) == ".npz" else read_hdf5(path)
    found = [episodes_of(arrays, f"{path}{name and f', group {name}'}") for name, arrays in groups.items()]
    widths = {(part.observations.shape[1], part.actions.shape[1:]) for part in found}
    if len(widths) > 1:
        raise ValueError(f"The episodes of {path} have observations and actions of different sizes, {sorted(widths)}.")
    return Episodes(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def read_npz(path: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """The arrays of a file, as one group without a name."""
    with reading(path, "NumPy archive", "write it with numpy.savez"), open_unpacked(path) as stream:
        file = np.load(stream, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array without a name")
        return {"": {name: file[name] for name in file.files}}


def read_hdf5(path: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """The arrays of a file, or of each of its groups that hold an episode, in the order of their numbers."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{path} is read with h5py; pip install 'memtrain[control]'.") from error
    with reading(path, "HDF5 file", "fetch it again"), h5py.File(path, "r") as file:
        groups = [name for name in file if name.startswith("episode_") and name[8:].isdecimal()]
        if not groups:
            return {"": arrays_of(file)}
        return {name: arrays_of(file[name]) for name in sorted(groups, key=lambda name: int(name[8:]))}


def arrays_of(group: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The data sets of an HDF5 group."""
    return {name: np.asarray(group[name]) for name in group if hasattr(group[name], "shape")}


def episodes_of(arrays: Mapping[str, NDArray[Any]], place: str) -> Episodes:
    """Episodes from the arrays of a file or group.

    Raises:
        ValueError: naming what is missing or does not fit.
    """
    observations, actions = (numbers_of(arrays, name, place) for name in ("observations", "actions"))
    steps = len(actions)
    if len(observations) not in (steps, steps + 1):
        raise ValueError(f"{place} has {len(observations)} observations for {steps} actions; give one for each.")
    rewards = numbers_of(arrays, "rewards", place).ravel() if "rewards" in arrays else np.zeros(steps)
    if len(rewards) != steps:
        raise ValueError(f"{place} has {len(rewards)} rewards for {steps} actions; give one for each.")
    if actions.ndim > 2:
        raise ValueError(f"The actions of {place} have shape {actions.shape}, but must be [R] or [R, A]; flatten them.")
    of_categories = actions.dtype.kind != "f" and actions.size == steps
    actions = actions.ravel().astype(np.int64) if of_categories else actions.reshape(steps, -1).astype(np.float64)
    lengths = lengths_of(arrays, steps, place)
    observations = observations[:steps].reshape(steps, -1).astype(np.float64)
    return Episodes(observations, actions, rewards.astype(np.float64), lengths)


def numbers_of(arrays: Mapping[str, NDArray[Any]], name: str, place: str) -> NDArray[Any]:
    """An array of numbers, or of True and False, with a row for each step.

    Raises:
        ValueError: if there is no such array, or it holds something else.
    """
    if name not in arrays:
        raise ValueError(f"{place} has no array {name}, but {', '.join(sorted(arrays))}; rename or record it.")
    array = arrays[name]
    if not array.ndim or not array.size or array.dtype.kind not in "biuf":
        raise ValueError(f"{place} has {name} of {array.dtype} {array.shape}, but must have numbers for each step.")
    if np.isinf(array).any():
        raise ValueError(f"{place} has {name} that are infinite; write NaN where a value is missing.")
    return array


def lengths_of(arrays: Mapping[str, NDArray[Any]], steps: int, place: str) -> NDArray[np.int64]:
    """Steps of each episode; a file that does not say where episodes end is one episode.

    Raises:
        ValueError: where what is said does not fit the number of steps.
    """
    if "lengths" in arrays:
        lengths = numbers_of(arrays, "lengths", place).astype(np.int64)
        if lengths.ndim != 1 or (lengths < 1).any() or lengths.sum() != steps:
            raise ValueError(f"The lengths of {place} sum up to {lengths.sum()}, but there are {steps} actions.")
        return lengths
    ends = [numbers_of(arrays, name, place).ravel() > 0 for name in ENDS if name in arrays]
    if any(len(end) != steps for end in ends):
        raise ValueError(
            f"{place} says of {[len(end) for end in ends]} steps whether they end an episode, not {steps}."
        )
    last = np.flatnonzero(np.any([*ends, np.arange(steps) == steps - 1], axis=0))
    return np.diff(last, prepend=-1)
