"""MNIST's IDX format: unsigned bytes `[N, H, W]` after a header of sixteen bytes."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memtrain.data.unpacked import open_unpacked, reading

IDX_IMAGES = 0x00000803
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
        with open_unpacked(file) as stream:
            content = stream.read()
        magic, *_ = struct.unpack_from(">I", content)
        if magic != IDX_IMAGES:
            raise ValueError(f"its first four bytes are {magic:#010x}, not {IDX_IMAGES:#010x}{_meaning(magic)}")
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


def _meaning(magic: int) -> str:
    if magic >> 8 not in IDX_KINDS:
        return ""
    return f": it holds {IDX_KINDS[magic >> 8]} in {magic & 0xFF} dimensions, and what is read is unsigned bytes in 3"
