"""Images from MNIST's IDX format, NumPy archives, folders, the hub, or the digits built into scikit-learn."""

import gzip
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from memtrain.data.sources import SPLIT_WORDS, files_under, hub_splits, local_path, one_line, require_column, split_of

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
IDX_IMAGES = 0x00000803


class LabelledImage(NamedTuple):
    """An image and where it belongs.

    Attributes:
        split: "train", "val" or "test", as its source says; "train" if it says nothing.
        group: images of one group (drawings of one photo) never stand in two splits.
        image: the image, of any size and mode.
    """

    split: str
    group: str
    image: Image.Image


def read_images(path: str | None, column: str, subset: str | None, split_by: str) -> Iterator[LabelledImage]:
    """Read every image of a source, in a fixed order.

    Args:
        path: see `RasterDataModule`.
        column: column of images in a hub data set.
        subset: name of its configuration, where it has several.
        split_by: "photo" or "file", see `RasterDataModule`.

    Raises:
        FileNotFoundError: if the path is wrong.
        ValueError: if it holds no image, or one that cannot be read.
    """
    if path is None:
        yield from _digits()
        return
    local = local_path(path)
    if local is None:
        yield from _hub(path, column, subset)
        return
    for file in image_files(local):
        if is_idx(file):
            yield from _array(split_of(file.name), file, read_idx(file))
        elif file.suffix == ".npz":
            yield from _array(split_of(file.name), file, _read_npz(file))
        else:
            photo = file.stem.rpartition("-")[0] if split_by == "photo" else ""
            yield LabelledImage(
                _split_of_folder(file, local), f"{file.parent.name}/{photo or file.stem}", _open_image(file)
            )


def is_idx(file: Path) -> bool:
    """Say whether a file is called like one of MNIST's files of images."""
    return "images-idx3" in file.name or "images.idx3" in file.name


def image_files(path: Path) -> list[Path]:
    """List a source's files: IDX files if there are any, else NumPy archives, else images; in order of name.

    Of an IDX file that is there both packed and unpacked, only the unpacked one counts.

    Raises:
        ValueError: if there is none.
    """
    files = files_under(path)
    kinds: list[Callable[[Path], bool]] = [
        is_idx,
        lambda file: file.suffix == ".npz",
        lambda file: file.suffix.lower() in IMAGE_SUFFIXES,
    ]
    for belongs in kinds:
        chosen = [file for file in files if belongs(file)]
        if chosen:
            return [file for file in chosen if file.suffix != ".gz" or file.with_suffix("") not in chosen]
    raise ValueError(
        f"data.path is {path}, which holds no images; give a folder of images ("
        f"{', '.join(IMAGE_SUFFIXES)}), MNIST's *-images-idx3-ubyte.gz, or an .npz file with `images`."
    )


def _split_of_folder(file: Path, root: Path) -> str:
    """Return the split that the folder under `root` is called after, "train" for any other (a class, say)."""
    return SPLIT_WORDS.get(file.relative_to(root).parts[0].lower(), "train") if root.is_dir() else "train"


def read_idx(file: Path) -> NDArray[np.uint8]:
    """Read MNIST's IDX format, plain or gzip.

    Returns:
        uint8 `[N, H, W]`.

    Raises:
        ValueError: if the file is damaged or of another format.
    """
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        magic, images, height, width = struct.unpack_from(">IIII", content)
        if magic != IDX_IMAGES:
            raise ValueError(f"its first four bytes are {magic:#010x}, not {IDX_IMAGES:#010x}")
        return np.frombuffer(content, np.uint8, images * height * width, 16).reshape(images, height, width)
    except (OSError, EOFError, struct.error, ValueError, zlib.error) as error:
        raise ValueError(f"{file} is not a readable IDX file of images ({one_line(error)}); fetch it again.") from error


def _read_npz(file: Path) -> NDArray[np.uint8]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            images = archive.get("images")
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{file} is not a readable NumPy archive ({one_line(error)}); fetch it again.") from error
    if images is None or images.ndim != 3 or images.dtype != np.uint8:
        raise ValueError(f"{file} has no array `images` of uint8 [N, H, W]; store the images under that name.")
    return images


def _array(split: str, file: Path, images: NDArray[np.uint8]) -> Iterator[LabelledImage]:
    for number, image in enumerate(images):
        yield LabelledImage(split, f"{file.name}/{number}", Image.fromarray(image))


def _digits() -> Iterator[LabelledImage]:
    """Read scikit-learn's 1,797 handwritten digits of 8x8 pixels with values 0..16."""
    for number, image in enumerate(load_digits().images):
        yield LabelledImage("train", str(number), Image.fromarray(np.round(image * (255 / 16)).astype(np.uint8)))


def _hub(path: str, column: str, subset: str | None) -> Iterator[LabelledImage]:
    for name, rows in hub_splits(path, subset).items():
        for number, row in enumerate(rows):
            require_column(row, column, path)
            if not isinstance(row[column], Image.Image):
                raise ValueError(
                    f"data.column is {column!r}, but in {path} it holds a {type(row[column]).__name__}, not images; "
                    f"choose a column of images among {', '.join(sorted(row))}."
                )
            yield LabelledImage(split_of(name), f"{name}/{number}", row[column])


def _open_image(file: Path) -> Image.Image:
    try:
        with Image.open(file) as image:
            image.load()
            return image.copy()
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's ways of saying that a file is damaged
        raise ValueError(f"{file} is not a readable image ({one_line(error)}); repair or remove it.") from error


def to_levels(image: Image.Image, image_size: int, levels: int, threshold: float, invert: bool) -> NDArray[np.uint8]:
    """Turn an image into rows of grey levels.

    Args:
        image: any size and mode; transparency is laid on white, 16-bit greys keep their share of full brightness.
        image_size: height and width of the result; other sizes are averaged over areas, not cut.
        levels: number of grey levels; 256 keeps 8-bit values as they are.
        threshold: share of full brightness below which a pixel becomes 0, after `invert`.
        invert: exchange black and white.

    Returns:
        uint8 `[image_size * image_size]`, values 0..levels-1, row by row.
    """
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode.startswith("I"):  # convert would cut at 255 what has 16 bits
        image = Image.fromarray((np.asarray(image, dtype=np.float64).clip(0, 65535) / 257).round().astype(np.uint8))
    image = image.convert("L")
    if image.size != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.BOX)
    brightness = np.asarray(image, dtype=np.float64).reshape(-1) / 255
    if invert:
        brightness = 1 - brightness
    brightness[brightness < threshold] = 0
    return np.round(brightness * (levels - 1)).astype(np.uint8)
