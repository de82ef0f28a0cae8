"""MNIST's IDX format: unsigned bytes `[N, H, W]`, or `[N]`, after a header of their kind and sizes."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memtrain.data.unpacked import open_unpacked, reading

IDX_IMAGES = 0x00000803
IDX_LABELS = 0x00000801
IDX_KINDS = {
    0x08: "unsigned bytes",
    0x09: "signed bytes",
    0x0B: "16-bit integers",
    0x0C: "32-bit integers",
    0x0D: "32-bit floats",
    0x0E: "64-bit floats",
}


def is_idx(file: Path) -> bool:
    """Say whether a file is called like one of MNIST's files of images."""
    return "images-idx3" in file.name or "images.idx3" in file.name


def read_idx(file: Path) -> NDArray[np.uint8]:
    """Read an IDX file, packed by gzip or not.

    Returns:
        uint8 `[N, H, W]`, N at least 1.

    Raises:
        ValueError: if the file is damaged, holds no images, or something else.
    """
    with reading(file, "IDX file of images", "fetch it again"):
        content = _content(file, IDX_IMAGES)
        images, height, width = struct.unpack_from(">III", content, 4)
        size = images * height * width
        if not size:
            raise ValueError(f"its header says {images} images of {height} x {width} pixels, which is none")
        if len(content) < 16 + size:
            raise ValueError(
                f"its header says {images} images of {height} x {width} pixels, but only {len(content) - 16} bytes "
                "follow"
            )
        return np.frombuffer(content, np.uint8, size, 16).reshape(images, height, width)


def read_idx_labels(file: Path) -> NDArray[np.uint8]:
    """Read an IDX file of labels, packed by gzip or not.

    Returns:
        uint8 `[N]`.

    Raises:
        ValueError: if the file is damaged, or holds something else.
    """
    with reading(file, "IDX file of labels", "fetch it again"):
        content = _content(file, IDX_LABELS)
        (labels,) = struct.unpack_from(">I", content, 4)
        if len(content) < 8 + labels:
            raise ValueError(f"its header says {labels} labels, but only {len(content) - 8} bytes follow")
        return np.frombuffer(content, np.uint8, labels, 8)


def _content(file: Path, wanted: int) -> bytes:
    with open_unpacked(file) as stream:
        content = stream.read()
    magic, *_ = struct.unpack_from(">I", content)
    if magic != wanted:
        raise ValueError(f"its first four bytes are {magic:#010x}, not {wanted:#010x}{_meaning(magic, wanted)}")
    return content


def _meaning(magic: int, wanted: int) -> str:
    if magic >> 8 not in IDX_KINDS:
        return ""
    return (
        f": it holds {IDX_KINDS[magic >> 8]} in {magic & 0xFF} dimensions, and what is read is unsigned bytes in "
        f"{wanted & 0xFF}"
    )
