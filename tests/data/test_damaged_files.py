"""Files damaged in any way: they are read, or one sentence names the file."""

import gzip
import io
import json
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from memtrain.data import RasterDataModule, TextDataModule

CORRUPTIONS = 150
STORY = "Once upon a time there was a cat. "


def picture(mode: str, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x112] = 6
    pixels = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)).convert("RGB")
    image = Image.new("I;16", (16, 16), 7) if mode == "I;16" else pixels.convert(mode)
    image.save(stream, form, **({"exif": exif} if form in ("JPEG", "PNG", "WEBP", "TIFF") else {}), **options)
    return stream.getvalue()


def archive(save: Callable[..., None]) -> bytes:
    stream = io.BytesIO()
    save(stream, images=np.random.default_rng(0).integers(0, 256, (40, 4, 4), np.uint8))
    return stream.getvalue()


def table(compression: str | None, column: str = "text") -> bytes:
    stream = io.BytesIO()
    frame = pd.DataFrame({column: [f"{STORY}{number}" for number in range(50)], "number": range(50)})
    frame.to_parquet(stream, compression=compression)
    return stream.getvalue()


IDX = struct.pack(">IIII", 0x803, 40, 4, 4) + np.random.default_rng(0).integers(0, 256, 640, np.uint8).tobytes()
LINES = "".join(json.dumps({"text": f"{STORY}{number}", "number": number}) + "\n" for number in range(50)).encode()
PLAIN = b"\n<|endoftext|>\n".join(f"{STORY}{number}".encode() for number in range(50))

FILES = {
    "a.png": picture("RGB", "PNG"),
    "gray.png": picture("L", "PNG"),
    "palette.png": picture("P", "PNG"),
    "alpha.png": picture("RGBA", "PNG"),
    "sixteen.png": picture("I;16", "PNG"),
    "a.jpg": picture("RGB", "JPEG"),
    "progressive.jpeg": picture("L", "JPEG", progressive=True),
    "cmyk.jpg": picture("CMYK", "JPEG"),
    "a.webp": picture("RGB", "WEBP"),
    "lossless.webp": picture("RGBA", "WEBP", lossless=True),
    "a.gif": picture("P", "GIF"),
    "a.bmp": picture("RGB", "BMP"),
    "a.tif": picture("RGB", "TIFF"),
    "packed.tiff": picture("L", "TIFF", compression="tiff_lzw"),
    "deflated.tiff": picture("RGBA", "TIFF", compression="tiff_adobe_deflate"),
    "train-images-idx3-ubyte": IDX,
    "train-images-idx3-ubyte.gz": gzip.compress(IDX, mtime=0),
    "a.npz": archive(np.savez),
    "compressed.npz": archive(np.savez_compressed),
    "a.parquet": table("snappy"),
    "plain.parquet": table(None),
    "a.jsonl": LINES,
    "a.jsonl.gz": gzip.compress(LINES, mtime=0),
    "a.txt": PLAIN,
    "a.txt.gz": gzip.compress(PLAIN, mtime=0),
}
"""Twenty-five kinds of file, each sound."""


def corrupted(content: bytes, number: int) -> bytes:
    """One of many corruptions: bytes changed (mostly in the header), cut off, left out, put in, or doubled."""
    draw = np.random.default_rng(number)
    spoilt = bytearray(content)
    place = int(draw.integers(0, min(len(content), 64) if number % 2 else len(content)))
    size = int(draw.integers(1, 16))
    kind = number // 2 % 5
    if kind == 0:
        spoilt[place] = draw.integers(0, 256)
    elif kind == 1:
        spoilt[place : place + size] = draw.bytes(size)
    elif kind == 2:
        del spoilt[place:]
    elif kind == 3:
        del spoilt[place : place + size]
    else:
        spoilt[place : place + size] = bytes([255 * int(draw.integers(0, 2))]) * size
    return bytes(spoilt)


def read(file: Path, cache_folder: str) -> None:
    """Prepare and open the data of one file."""
    data: TextDataModule | RasterDataModule
    if file.name.removesuffix(".gz").endswith((".parquet", ".jsonl", ".txt")):
        data = TextDataModule(path=str(file), length=4, cache_folder=cache_folder)
    else:
        folder = file.parent
        data = RasterDataModule(path=str(folder), image_size=4, cache_folder=cache_folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.prepare_data()
        data.setup()


def put(name: str, content: bytes, tmp_path: Path) -> Path:
    """Write a file where `read` can read it: a single image among eight sound ones."""
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    if Path(name).suffix in (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"):
        for number in range(8):
            Image.fromarray(np.full((4, 4), number, np.uint8)).save(folder / f"sound{number}-0.png")
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_sound_before_it_is_damaged(name: str, tmp_path: Path, cache_folder: str) -> None:
    read(put(name, FILES[name], tmp_path), cache_folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_read_or_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    refused = 0
    for number in range(CORRUPTIONS):
        file = put(name, corrupted(FILES[name], number), tmp_path)
        try:
            read(file, str(tmp_path / f"cache{number}"))
        except (ValueError, FileNotFoundError) as error:
            sentence = str(error)
            assert "\n" not in sentence
            assert str(file) in sentence or sentence.startswith("data."), (number, sentence)
            assert sentence.endswith("."), (number, sentence)
            refused += 1
    assert refused or file.suffix in (".txt", ".bmp")
