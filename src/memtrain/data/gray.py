"""Gray levels of an image, read as its file says: turned, laid on white, of 8 or 16 bits."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


def gray(image: Image.Image) -> Image.Image:
    """Return an image as every viewer shows it, in 8-bit grays (mode "L").

    It is turned as its file says (EXIF orientation), transparency is laid on white, palettes are looked up, and
    16-bit grays keep their share of full brightness.

    Raises:
        ValueError: if its values do not say which brightness they are: floats, or integers beyond 16 bits.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its pixels are floats, which do not say what white is; store 8 or 16 bits")
    if image.mode.startswith("I"):
        return _from_16_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L")
    image.info.clear()  # all that the file says has been heard
    return image


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Scale where `convert` would cut at 255."""
    values = np.asarray(image, dtype=np.float64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(
            f"its pixels lie in {values.min():.0f}..{values.max():.0f}, beyond 16 bits; store 8 or 16 bits"
        )
    if "transparency" in image.info:  # the one value that is transparent
        values[values == image.info["transparency"]] = 65535
    return Image.fromarray((values / 257).round().astype(np.uint8))


def to_levels(image: Image.Image, image_size: int, levels: int, threshold: float, invert: bool) -> NDArray[np.uint8]:
    """Turn an image into rows of gray levels.

    Args:
        image: any size and mode; see `gray`.
        image_size: height and width of the result; other sizes are averaged over areas, not cut.
        levels: number of gray levels; 256 keeps 8-bit values as they are.
        threshold: share of full brightness below which a pixel becomes 0, after `invert`.
        invert: exchange black and white.

    Returns:
        uint8 `[image_size * image_size]`, values 0..levels-1, row by row.
    """
    image = gray(image)
    if image.size != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.BOX)
    brightness = np.asarray(image, dtype=np.float64).reshape(-1) / 255
    if invert:
        brightness = 1 - brightness
    brightness[brightness < threshold] = 0
    return np.round(brightness * (levels - 1)).astype(np.uint8)
