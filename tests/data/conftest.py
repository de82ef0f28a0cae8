"""Small data sets in the formats a user would have, made on the spot."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo


@pytest.fixture
def cache_folder(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


@pytest.fixture
def stories(tmp_path: Path) -> Path:
    """Parquet files like TinyStories': 200 + 40 stories of about 60 characters, one in each not all ASCII."""
    folder = tmp_path / "stories"
    folder.mkdir()
    words = ["the", "cat", "saw", "a", "dog", "and", "ran", "home", "to", "sleep"]
    draw = np.random.default_rng(0)
    for name, count in (("train", 200), ("validation", 40)):
        texts = [" ".join(draw.choice(words, 15)) + "." for _ in range(count)]
        texts[0] += "\u2014\u00e9"  # two characters that are not ASCII
        pd.DataFrame({"text": texts, "number": range(count)}).to_parquet(folder / f"{name}.parquet")
    return folder


def write_idx(file: Path, images: np.ndarray) -> None:
    content = struct.pack(">IIII", 0x803, *images.shape) + images.astype(np.uint8).tobytes()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    """MNIST's files with 30 + 10 images of 4x4 pixels; image n of a file is filled with the value n."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name, count in (("train", 30), ("t10k", 10)):
        images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None], (count, 4, 4))
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", images)
    return folder


@pytest.fixture
def labeled_idx(idx_folder: Path) -> Path:
    """Image n of a file is filled with the value n, and is of class n % 10."""
    training, test = (struct.pack(">II", 0x801, count) + bytes(n % 10 for n in range(count)) for count in (30, 10))
    (idx_folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(training))
    (idx_folder / "t10k-labels-idx1-ubyte").write_bytes(test)
    return idx_folder


@pytest.fixture
def sketches(tmp_path: Path) -> Path:
    """Drawings in Sketchy's layout: 2 classes x 10 photos x 3 drawings; each photo has its own gray level."""
    folder = tmp_path / "sketchy"
    for class_number, name in enumerate(("ant", "zebra")):
        (folder / name).mkdir(parents=True)
        for photo in range(10):
            for drawing in range(3):
                gray = 10 * (10 * class_number + photo)
                image = Image.new("RGB", (8, 8), (gray, gray, gray))
                own = PngInfo()  # each drawing is a file of its own, not a copy
                own.add_text("drawing", str(drawing))
                image.save(folder / name / f"n{class_number}_{photo}-{drawing}.png", pnginfo=own)
    return folder


@pytest.fixture
def bitmaps(tmp_path: Path) -> Path:
    """QuickDraw's layout: a NumPy archive with 40 images of 28x28 pixels."""
    folder = tmp_path / "quickdraw"
    folder.mkdir()
    np.savez(folder / "cat.npz", images=np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8))
    return folder


@pytest.fixture
def motions(tmp_path: Path) -> Path:
    """As of the UEA archive: 20 + 10 series of two channels and 5 to 9 steps, rising or falling; a value is missing."""
    folder = tmp_path / "Motions"
    folder.mkdir()
    draw = np.random.default_rng(0)
    header = "# About motions.\n@problemName Motions\n@timeStamps false\n@classLabel true up down\n@data\n"
    for split, count in (("TRAIN", 20), ("TEST", 10)):
        lines = []
        for number in range(count):
            slope = 1 if number % 2 else -1
            steps = slope * np.arange(draw.integers(5, 10)) + draw.normal(size=(2, 1))
            channels = [",".join(f"{value:.4f}" for value in channel) for channel in steps]
            channels[1] = channels[1].replace(channels[1].split(",")[2], "?") if number == 3 else channels[1]
            lines.append(":".join([*channels, "up" if slope > 0 else "down"]))
        (folder / f"Motions_{split}.ts").write_text(header + "\n".join(lines) + "\n")
    return folder


@pytest.fixture
def real_data() -> Path:
    """The folder of real samples that MEMTRAIN_DATA names."""
    folder = os.environ.get("MEMTRAIN_DATA")
    if not folder:
        pytest.skip("MEMTRAIN_DATA is not set: give a folder with mnist/, sketchy/, quickdraw/ and tinystories/")
    return Path(folder)


@pytest.fixture
def sensors(tmp_path: Path) -> Path:
    """A CSV of 400 rows, 10 minutes apart, with two columns of numbers."""
    file = tmp_path / "sensors.csv"
    times = pd.date_range("2024-01-01", periods=400, freq="10min")
    values = np.sin(np.arange(400)[:, None] / [5, 9])
    pd.DataFrame({"time": times, "heat": values[:, 0], "light": values[:, 1]}).to_csv(file, index=False)
    return file


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Behavior of 20 episodes of 9 steps: two numbers are seen, and the sign of the first says which of two is done."""
    file = tmp_path / "logs.npz"
    seen = np.random.default_rng(0).normal(size=(180, 2))
    np.savez(file, observations=seen, actions=(seen[:, 0] > 0).astype(int), terminals=np.arange(180) % 9 == 8)
    return file
