"""The two files of a data set of classified series: NAME_TRAIN and NAME_TEST, of the UCR and UEA archives or NumPy."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtrain.data.sources import files_under, local_path
from memtrain.data.ts_format import LabeledSeries, read_ts
from memtrain.data.unpacked import open_unpacked, reading

TRAINING = re.compile(r"(?P<name>.+)_TRAIN(?P<suffix>\.(ts|npz)(\.gz)?)", re.IGNORECASE)
WANTED = "give a folder with NAME_TRAIN.ts and NAME_TEST.ts (or .npz), or the first of these files"


def read_splits(path: str) -> dict[str, LabeledSeries]:
    """Read the "train" and the "test" file of a data set.

    Args:
        path: see `TimeSeriesClassification`.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if it holds no such pair of files, or several, or files that are damaged or do not fit.
    """
    training = training_file(path)
    test = training.with_name(re.sub("_train(?=[.])", _test_word, training.name, flags=re.IGNORECASE))
    if not test.is_file():
        raise ValueError(f"data.path is {path}, where {training.name} has no {test.name} beside it; add the test file.")
    splits = {"train": read_file(training), "test": read_file(test)}
    counts = [split.series[0].shape[1] for split in splits.values()]
    if counts[0] != counts[1]:
        raise ValueError(
            f"{training} has series of {counts[0]} channels, {test} of {counts[1]}; give files of one data set."
        )
    return splits


def _test_word(training: re.Match[str]) -> str:
    return "_TEST" if training.group().isupper() else "_test"


def training_file(path: str) -> Path:
    """Return the training file that `path` names, or that lies in the folder `path`.

    Where a folder holds several, it is the one that is called as the folder is.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if there is none, or which one is meant is not known.
    """
    try:
        local = local_path(path)
    except FileNotFoundError:
        local = None
    if local is None:
        raise FileNotFoundError(f"data.path is {path}, which does not exist; {WANTED}.")
    found = {match["name"]: file for file in files_under(local) if (match := TRAINING.fullmatch(file.name))}
    if local.resolve().name in found:
        return found[local.resolve().name]
    if not found:
        raise ValueError(f"data.path is {path}, which holds no training file of classified series; {WANTED}.")
    if len(found) > 1:
        names = ", ".join(sorted(found)[:5]) + ", ..." * (len(found) > 5)
        raise ValueError(f"data.path is {path}, which holds {len(found)} data sets ({names}); give the file of one.")
    return next(iter(found.values()))


def read_file(file: Path) -> LabeledSeries:
    """Read one file of series.

    Raises:
        ValueError: if it is damaged, or holds something else.
    """
    return _read_npz(file) if ".npz" in file.name.lower() else read_ts(file)


def _read_npz(file: Path) -> LabeledSeries:
    with reading(file, "NumPy archive", "fetch it again"), open_unpacked(file) as stream:
        archive = np.load(stream, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array without a name")
        arrays = {name: archive[name] for name in ("X", "y") if name in archive}
    if len(arrays) < 2 or not _are_series(**arrays):
        found = " and ".join(f"{name} of {array.dtype} {list(array.shape)}" for name, array in arrays.items())
        raise ValueError(
            f"{file} must have an array X of finite numbers [N, C, T], NaN where missing, and an array y of classes, "
            f"integers or strings [N], but has {found or 'neither'}; store them so."
        )
    series = arrays["X"].swapaxes(1, 2).astype(np.float64)
    return LabeledSeries(list(series), [str(label) for label in arrays["y"]])


def _are_series(X: NDArray[Any], y: NDArray[Any]) -> bool:
    shaped = X.ndim == 3 and X.size > 0 and y.shape == X.shape[:1]
    return shaped and X.dtype.kind in "fiu" and y.dtype.kind in "iuU" and not np.isinf(X).any()
