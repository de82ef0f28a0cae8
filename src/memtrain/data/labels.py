"""The class of each image: from the name of its folder, from a file or an array of labels, or from a column."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtrain.data.idx import is_idx, read_idx_labels
from memtrain.data.sources import SPLIT_WORDS
from memtrain.data.unpacked import open_unpacked, reading

LABEL_COLUMN = "label"
OTHERWISE = "or set data.targets to next"


def label_of_folder(file: Path, root: Path) -> str:
    """Return the folder of an image below `root`, or below a folder there that is called after a split.

    Raises:
        ValueError: if the image lies in no such folder.
    """
    folders = file.relative_to(root).parts[:-1] if root.is_dir() else ()
    if folders and folders[0].lower() in SPLIT_WORDS:
        folders = folders[1:]
    if not folders:
        raise ValueError(
            f"data.targets is label, but {file} lies in no folder of a class; sort the images of {root} into one "
            f"folder for each class, {OTHERWISE}."
        )
    return folders[0]


def labels_of_array(file: Path, images: int) -> list[str]:
    """Return the label of each image of a file of many: MNIST's IDX format, or a NumPy archive.

    Args:
        file: the file of images.
        images: how many it holds.

    Raises:
        ValueError: if there are no labels, labels that are no names of classes, or another number of them.
    """
    if is_idx(file):
        source = idx_label_file(file)
        labels: NDArray[Any] = read_idx_labels(source)
    else:
        source, labels = file, _labels_of_npz(file)
    if len(labels) != images:
        raise ValueError(
            f"{source} has {len(labels)} labels for the {images} images of {file}; give one label for each image, "
            f"{OTHERWISE}."
        )
    return [str(label) for label in labels]


def idx_label_file(images: Path) -> Path:
    """Return the file of labels beside one of MNIST's files of images, packed or not.

    Raises:
        ValueError: if it is not there.
    """
    name = images.name.removesuffix(".gz").replace("images-idx3", "labels-idx1").replace("images.idx3", "labels.idx1")
    for file in (images.with_name(name), images.with_name(f"{name}.gz")):
        if file.is_file():
            return file
    raise ValueError(f"data.targets is label, but {images} has no {name}(.gz) beside it; fetch that file, {OTHERWISE}.")


def _labels_of_npz(file: Path) -> NDArray[Any]:
    with reading(file, "NumPy archive", "fetch it again"), open_unpacked(file) as stream:
        labels = np.load(stream, allow_pickle=False).get("labels")
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iuU":
        found = "has no array `labels`" if labels is None else f"has `labels` of {labels.dtype} {list(labels.shape)}"
        raise ValueError(
            f"data.targets is label, but {file} {found}; store the class of each image under that name, as integers or "
            f"strings [N], {OTHERWISE}."
        )
    return labels


def label_of_row(row: Mapping[str, Any], place: str) -> str:
    """Return the label of a row of a hub data set.

    Args:
        row: its columns.
        place: the data set and the row, for the error.

    Raises:
        ValueError: if it has none; -1 is the hub's way to say so.
    """
    label = row.get(LABEL_COLUMN)
    if not isinstance(label, int | str) or label == -1:
        found = f"holds {label!r} there" if LABEL_COLUMN in row else f"has only the columns {', '.join(sorted(row))}"
        raise ValueError(
            f"data.targets is label, which reads the class of an image from a column {LABEL_COLUMN!r}, but {place} "
            f"{found}; choose other data, {OTHERWISE}."
        )
    return str(label)


def numbered(labels: Mapping[str, Sequence[str]], source: object) -> tuple[list[str], dict[str, NDArray[np.int64]]]:
    """Number the classes of the training split: names that are numbers by their value, others by the alphabet after.

    Args:
        labels: those of each split, "train" among them.
        source: where they come from, for the error.

    Returns:
        The names of the classes, and for each split the classes of its samples, int64 `[N]`.

    Raises:
        ValueError: if there is one class only, or one without a training sample.
    """
    names = sorted(set(labels["train"]), key=_by_value)
    if len(names) < 2:
        raise ValueError(
            f"All training samples of {source} are of class {names[0]!r}, so that there is nothing to tell apart; give "
            "samples of two classes at least."
        )
    numbers = {name: number for number, name in enumerate(names)}
    for split, own in labels.items():
        unknown = sorted(set(own) - set(names), key=_by_value)
        if unknown:
            raise ValueError(
                f"The {split} split of {source} has class {unknown[0]!r}, of which there is no training sample; add "
                "some, or remove that class."
            )
    return names, {split: np.array([numbers[label] for label in own], np.int64) for split, own in labels.items()}


def _by_value(name: str) -> tuple[bool, int, str]:
    return (False, int(name), name) if name.isdecimal() else (True, 0, name)
