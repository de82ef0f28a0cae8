"""Images from MNIST's IDX format, NumPy archives, folders, the hub, or the digits built into scikit-learn."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from memtrain.data.copies import without_copies
from memtrain.data.gray import gray
from memtrain.data.idx import is_idx, read_idx
from memtrain.data.labels import idx_label_file, label_of_folder, label_of_row, labels_of_array
from memtrain.data.sources import SPLIT_WORDS, files_under, hub_splits, local_path, require_column, split_of
from memtrain.data.unpacked import kind_of, open_unpacked, reading

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


class LabeledImage(NamedTuple):
    """An image and where it belongs.

    Attributes:
        split: "train", "val" or "test", as its source says; "train" if it says nothing.
        group: images of one group (drawings of one photo) never stand in two splits.
        image: the image, of any size, in 8-bit grays.
        label: name of its class; None where labels are not read.
    """

    split: str
    group: str
    image: Image.Image
    label: str | None = None


def read_images(
    path: str | None, column: str, subset: str | None, split_by: str, labeled: bool = False
) -> Iterator[LabeledImage]:
    """Read every image of a source, in a fixed order.

    Args:
        path: see `RasterDataModule`.
        column: column of images in a hub data set.
        subset: name of its configuration, where it has several.
        split_by: "photo" or "file", see `RasterDataModule`.
        labeled: read the class of each image too.

    Raises:
        FileNotFoundError: if the path is wrong.
        ValueError: if it holds no image, or one that cannot be read, or one without a class where `labeled`.
    """
    if path is None:
        yield from _digits(labeled)
        return
    local = local_path(path)
    if local is None:
        yield from _hub(path, column, subset, labeled)
        return

    def split_of_file(file: Path) -> str:
        return split_of(file.name) if is_array(file) else _split_of_folder(file, local)

    for file in without_copies(image_files(local), split_of_file):
        split = split_of_file(file)
        if is_array(file):
            yield from _array(split, file, labeled)
        else:
            label = label_of_folder(file, local) if labeled else None
            photo = file.stem.rpartition("-")[0] if split_by == "photo" else ""
            yield LabeledImage(split, f"{file.parent.name}/{photo or file.stem}", _open_image(file), label)


def is_array(file: Path) -> bool:
    """Say whether a file holds an array of images, not one image."""
    return is_idx(file) or kind_of(file) == ".npz"


def image_files(path: Path) -> list[Path]:
    """List a source's files: IDX files if there are any, else NumPy archives, else images; in order of name.

    Raises:
        ValueError: if there is none.
    """
    files = files_under(path)
    kinds: list[Callable[[Path], bool]] = [
        is_idx,
        lambda file: kind_of(file) == ".npz",
        lambda file: kind_of(file) in IMAGE_SUFFIXES,
    ]
    for belongs in kinds:
        chosen = [file for file in files if belongs(file)]
        if chosen:
            return chosen
    raise ValueError(
        f"data.path is {path}, which holds no images; give a folder of images ("
        f"{', '.join(IMAGE_SUFFIXES)}), MNIST's *-images-idx3-ubyte.gz, or an .npz file with `images`."
    )


def label_files(images: Iterable[Path]) -> list[Path]:
    """List the files of labels beside MNIST's files of images.

    Raises:
        ValueError: if one is missing.
    """
    return [idx_label_file(file) for file in images if is_idx(file)]


def _split_of_folder(file: Path, root: Path) -> str:
    """Return the split that the folder under `root` is called after, "train" for any other (a class, say)."""
    return SPLIT_WORDS.get(file.relative_to(root).parts[0].lower(), "train") if root.is_dir() else "train"


def _read_npz(file: Path) -> NDArray[np.uint8]:
    with reading(file, "NumPy archive", "fetch it again"), open_unpacked(file) as stream:
        archive = np.load(stream, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array without a name")
        images = archive.get("images")
    if images is None or images.ndim != 3 or images.dtype != np.uint8:
        raise ValueError(f"{file} has no array `images` of uint8 [N, H, W]; store the images under that name.")
    if not images.size:
        raise ValueError(f"{file} has an array `images` of shape {images.shape}, which holds no image; remove it.")
    return images


def _array(split: str, file: Path, labeled: bool) -> Iterator[LabeledImage]:
    images = read_idx(file) if is_idx(file) else _read_npz(file)
    labels = labels_of_array(file, len(images)) if labeled else [None] * len(images)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        yield LabeledImage(split, f"{file.name}/{number}", Image.fromarray(image), label)


def _digits(labeled: bool) -> Iterator[LabeledImage]:
    """Read scikit-learn's 1,797 handwritten digits of 8x8 pixels with values 0..16."""
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        gray_image = Image.fromarray(np.round(image * (255 / 16)).astype(np.uint8))
        yield LabeledImage("train", str(number), gray_image, str(label) if labeled else None)


def _hub(path: str, column: str, subset: str | None, labeled: bool) -> Iterator[LabeledImage]:
    cells = empty = 0
    for name, rows in hub_splits(path, subset).items():
        for number, row in enumerate(rows):
            require_column(row, column, path)
            cells += 1
            if row[column] is None:
                empty += 1
                continue
            if not isinstance(row[column], Image.Image):
                raise ValueError(
                    f"data.column is {column!r}, but in {path} it holds a {type(row[column]).__name__}, not images; "
                    f"choose a column of images among {', '.join(sorted(row))}."
                )
            place = f"Row {number} of {path}, split {name},"
            with reading(place, "image", "choose other data"):
                image = gray(row[column])
            label = label_of_row(row, f"row {number} of {path}, split {name},") if labeled else None
            yield LabeledImage(split_of(name), f"{name}/{number}", image, label)
    if empty == cells:
        raise ValueError(
            f"data.column is {column!r}, but all {cells} cells of it in {path} are empty; choose a column of images."
        )
    if empty:
        warnings.warn(f"{empty} of {cells} cells of images in {path} are empty and were skipped.", stacklevel=2)


def _open_image(file: Path) -> Image.Image:
    with reading(file, "image", "repair or remove it"), open_unpacked(file) as stream, Image.open(stream) as image:
        image.load()
        return gray(image)
