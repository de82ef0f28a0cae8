"""What an image file says about itself is heard; what cannot be read is refused with what is in it."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from memtrain.data import RasterDataModule
from memtrain.data.gray import gray, to_levels
from memtrain.data.idx import read_idx
from memtrain.data.images import read_images

BAR = np.zeros((4, 4), np.uint8)
BAR[:, 3] = 255  # at the right
SHOWN = {
    1: BAR,
    2: BAR[:, ::-1],  # mirrored
    3: BAR[::-1, ::-1],
    4: BAR[::-1],
    5: BAR.T,
    6: np.rot90(BAR, -1),  # turn right: at the bottom
    7: np.rot90(BAR, 2).T,
    8: np.rot90(BAR),  # turn left: at the top
}


def read_one(file: Path) -> np.ndarray:
    """The only image of a path, as grays `[H, W]`."""
    (found,) = read_images(str(file), "image", None, "file")
    assert found.image.mode == "L"
    return np.asarray(found.image)


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("suffix", ["jpg", "tiff", "webp", "png"])
def test_a_photo_is_turned_as_every_viewer_shows_it(suffix: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(BAR).save(tmp_path / f"a.{suffix}", exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(read_one(tmp_path / f"a.{suffix}") > 128, SHOWN[orientation] > 128)


def test_a_turned_photo_is_learned_as_it_is_shown(tmp_path: Path, cache_folder: str) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    for number in range(8):
        Image.fromarray(BAR).save(tmp_path / f"{number}.jpg", exif=exif, comment=str(number))
    data = RasterDataModule(path=str(tmp_path), image_size=4, levels=2, cache_folder=cache_folder)
    data.prepare_data()
    assert data.stream("train").tokens[:16].tolist() == [0] * 12 + [1] * 4


def test_a_photo_is_turned_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(BAR).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        assert gray(gray(image)).tobytes() == gray(image).tobytes()
        assert to_levels(image, 4, 2, 0.0, False).tolist() == [0] * 12 + [1] * 4


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bits_are_turned_and_scaled(suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(BAR.astype(np.uint16) * 100).save(tmp_path / f"a.{suffix}", exif=exif)
    assert read_one(tmp_path / f"a.{suffix}").tolist() == [[0] * 4] * 3 + [[99] * 4]  # 25500 / 257 = 99.2


def test_palettes_transparency_and_white_as_zero_are_as_shown(tmp_path: Path) -> None:
    palette = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    palette.putpalette([0, 0, 0, 200, 200, 200, 90, 90, 90])
    palette.save(tmp_path / "a.png")
    assert read_one(tmp_path / "a.png").tolist() == [[0, 200], [90, 200]]
    palette.save(tmp_path / "a.png", transparency=2)
    assert read_one(tmp_path / "a.png").tolist() == [[0, 200], [255, 200]]
    Image.fromarray(np.array([[7, 8], [9, 8]], np.uint8)).save(tmp_path / "a.png", transparency=8)
    assert read_one(tmp_path / "a.png").tolist() == [[7, 255], [9, 255]]
    Image.fromarray(np.array([[0, 1000], [30000, 65535]], np.uint16)).save(tmp_path / "a.png", transparency=1000)
    assert read_one(tmp_path / "a.png").tolist() == [[0, 255], [117, 255]]
    (tmp_path / "a.png").unlink()
    Image.fromarray(np.array([[0, 60], [200, 255]], np.uint8)).save(tmp_path / "a.tif", tiffinfo={262: 0})
    assert (tmp_path / "a.tif").read_bytes().endswith(bytes([255, 195, 55, 0]))  # as it is stored
    assert read_one(tmp_path / "a.tif").tolist() == [[0, 60], [200, 255]]


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.ones((2, 2), np.float32), "its pixels are floats, which do not say what white is"),
        (np.full((2, 2), 70_000, np.int32), r"its pixels lie in 70000\.\.70000, beyond 16 bits"),
    ],
)
def test_grays_without_a_known_white_are_refused(pixels: np.ndarray, reason: str, tmp_path: Path) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=rf"a\.tif is not a readable image \({reason}; store 8 or 16 bits\); repair"):
        read_one(tmp_path / "a.tif")


def test_an_image_that_is_far_too_large_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(BAR).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)
    with pytest.raises(ValueError, match=r"huge\.png is not a readable image \(Image size \(16 pixels\) exceeds limit"):
        read_one(tmp_path / "huge.png")


def idx(kind: int, dimensions: tuple[int, ...], content: bytes) -> bytes:
    return bytes([0, 0, kind, len(dimensions)]) + np.array(dimensions, ">u4").tobytes() + content


IMAGES = idx(8, (2, 2, 2), bytes(range(8)))


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_idx_file_is_unpacked_by_its_content_not_its_name(name: str, pack: object, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pack(IMAGES))  # type: ignore[operator]
    assert read_idx(tmp_path / name).tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]


@pytest.mark.parametrize("name", ["a.png", "a.png.gz"])
@pytest.mark.parametrize("packed", [False, True])
def test_an_image_is_unpacked_by_its_content_not_its_name(name: str, packed: bool, tmp_path: Path) -> None:
    Image.fromarray(BAR).save(tmp_path / "plain.png")
    content = (tmp_path / "plain.png").read_bytes()
    (tmp_path / "plain.png").unlink()
    (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    assert np.array_equal(read_one(tmp_path / name), BAR)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (idx(8, (0, 28, 28), b""), "its header says 0 images of 28 x 28 pixels, which is none"),
        (idx(8, (3, 0, 28), b""), "its header says 3 images of 0 x 28 pixels, which is none"),
        (idx(8, (3, 2, 2), bytes(11)), "its header says 3 images of 2 x 2 pixels, but only 11 bytes follow"),
        (idx(8, (2**32 - 1,) * 3, bytes(11)), "but only 11 bytes follow"),
        (idx(13, (1, 2, 2), bytes(16)), "not 0x00000803: it holds 32-bit floats in 3 dimensions, and what is read is "),
        (idx(8, (20,), bytes(20)), "not 0x00000803: it holds unsigned bytes in 1 dimensions, and what is read is "),
        (b"\x89PNG", "its first four bytes are 0x89504e47, not 0x00000803"),
        (b"", "unpack_from requires a buffer of at least 4 bytes"),
    ],
)
def test_an_idx_file_of_something_else_is_refused_with_what_is_in_it(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="train-images-idx3-ubyte is not a readable IDX file") as caught:
        read_idx(file)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((0, 4, 4), np.uint8), r"has an array `images` of shape \(0, 4, 4\), which holds no image; remove it"),
        (np.zeros((2, 4, 4), np.float32), "has no array `images` of uint8"),
    ],
)
def test_an_archive_of_something_else_is_refused(array: np.ndarray, reason: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=array)
    with pytest.raises(ValueError, match=rf"a\.npz {reason}"):
        list(read_images(str(tmp_path), "image", None, "file"))


def test_one_array_that_is_called_an_archive_is_refused(tmp_path: Path) -> None:
    np.save((tmp_path / "a.npz").open("wb"), BAR)
    with pytest.raises(ValueError, match=re.escape("a.npz is not a readable NumPy archive (it holds one array")):
        list(read_images(str(tmp_path), "image", None, "file"))
