"""The pixels of a raster data set on disk, and their classes: what is written once and read by every process."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memtrain.data.blocks import EVALUATION_SEED
from memtrain.data.images import LabeledImage
from memtrain.data.labels import numbered


class Pixels(NamedTuple):
    """One prepared image.

    Attributes:
        levels: gray levels, uint8 `[T]`.
        label: name of its class; None where labels are not read.
    """

    levels: NDArray[np.uint8]
    label: str | None


Groups = dict[str, dict[str, list[Pixels]]]
"""Source split -> group -> images."""


def write_pixels(
    folder: Path,
    images: Iterable[LabeledImage],
    to_levels: Callable[[Image.Image], NDArray[np.uint8]],
    held_out: float,
    source: object,
) -> None:
    """Write the pixels of each split, `train.bin` and so on, and of labeled images the classes.

    Args:
        folder: where to.
        images: in a fixed order.
        to_levels: makes an image gray levels, uint8 `[T]`.
        held_out: see `share_out`.
        source: for the errors.

    Raises:
        ValueError: if a split would be empty, or a class is not in the training split.
    """
    groups: Groups = {}
    for split, group, image, label in images:
        groups.setdefault(split, {}).setdefault(group, []).append(Pixels(to_levels(image), label))
    splits = share_out(groups, held_out)
    for split, chosen in splits.items():
        if not chosen:
            total = sum(len(members) for members in groups.values())
            raise ValueError(
                f"data.path is {source}, whose images form {total} group{'s' * (total > 1)}, which leaves none "
                f"for the {split} split; give more images, or set data.split_by to file if its images are "
                f"independent."
            )
        (folder / f"{split}.bin").write_bytes(np.concatenate([pixels.levels for pixels in chosen]).tobytes())
    labels = {
        split: [pixels.label for pixels in chosen if pixels.label is not None] for split, chosen in splits.items()
    }
    if labels["train"]:
        names, classes = numbered(labels, source or "scikit-learn's digits")
        (folder / "classes.json").write_text(json.dumps(names))
        for split, numbers in classes.items():
            np.save(folder / f"{split}.npy", numbers)


def read_class_names(folder: Path) -> list[str]:
    """Read the names of the classes that `write_pixels` wrote, in the order of their numbers."""
    names: list[str] = json.loads((folder / "classes.json").read_text())
    return names


def read_classes(folder: Path, split: str) -> NDArray[np.int64]:
    """Read the classes of a split's images that `write_pixels` wrote, int64 `[N]`."""
    classes: NDArray[np.int64] = np.load(folder / f"{split}.npy", allow_pickle=False)
    return classes


def share_out(groups: Groups, held_out: float) -> dict[str, list[Pixels]]:
    """Deal the groups of a source out to three splits, in one fixed random order.

    Args:
        groups: source split -> group -> images.
        held_out: share of the groups to hold out if there is only a training split.

    Returns:
        The images of "train", "val" and "test".
    """
    order = np.random.default_rng(EVALUATION_SEED)
    shuffled = {
        split: [members[name] for name in order.permutation(sorted(members))] for split, members in groups.items()
    }
    train = shuffled.get("train", [])
    val, test = shuffled.get("val", []), shuffled.get("test", [])
    if not val and not test:
        kept = len(train) - max(2, round(len(train) * held_out))
        train, test = train[: max(kept, 0)], train[max(kept, 0) :]
    if not val or not test:
        held = val or test
        val, test = held[: len(held) // 2], held[len(held) // 2 :]
    return {
        split: [image for group in chosen for image in group]
        for split, chosen in (("train", train), ("val", val), ("test", test))
    }
