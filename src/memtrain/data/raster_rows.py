"""Samples of whole images: every pixel predicts the next, or the last one the class of the image."""

import numpy as np
from numpy.typing import NDArray

from memtrain.batch import IGNORE_INDEX
from memtrain.data.blocks import Passes, Rows, Split
from memtrain.data.sampler import ENDLESS
from memtrain.data.token_file import TokenFile
from memtrain.data.tokens import TokenDataset


class ImageDataset(TokenDataset):
    """Whole images: inputs are a black start pixel and all pixels but the last, targets are all pixels.

    For example, an image of 2x2 pixels `5 0 / 7 3`::

        inputs   0  5  0  7
        targets  5  0  7  3

    So the first pixel is predicted too, from a token that is the same for every image; V stays the number
    of levels.

    Args:
        stream: the pixels of all images.
        order: the place of each timestep's pixel in an image, int64 `[T]`; see `pixel_order`.
        seed: the run's seed (training split only, which passes through all images in one random order after
            another).
        split: "train", "val" or "test".
        samples: evaluation samples wanted; fewer if there are fewer images.
    """

    def __init__(self, stream: TokenFile, order: NDArray[np.int64], seed: int, split: Split, samples: int) -> None:
        images = len(stream) // len(order)
        super().__init__(ENDLESS if split == "train" else min(samples, images))
        self.stream = stream
        self.order = order
        self.passes = Passes(split, seed, images)

    def rows(self, indices: NDArray[np.int64]) -> Rows:
        """Return inputs and targets, int64 `[B, T]`, of the samples at `indices` `[B]`."""
        pixels = self.pixels(self.images(indices))
        return with_start(pixels[:, :-1]), pixels

    def images(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which images stand at `indices`, int64 `[B]` each."""
        return self.passes.rows(indices)

    def pixels(self, images: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the pixels of `images` `[B]` in the order of the timesteps, int64 `[B, T]`."""
        size = len(self.order)
        return self.stream.windows(images * size, size)[:, self.order]


class LabelDataset(ImageDataset):
    """Whole images: inputs are all pixels, and the only target, at the last of them, is the class.

    For example, an image of 2x2 pixels `5 0 / 7 3` of class 1::

        inputs   5  0  7  3
        targets  -  -  -  1      (-: no target)

    Args:
        classes: those of all images, int64 `[N]`.
        stream: see `ImageDataset`.
        order: see `ImageDataset`.
        seed: see `ImageDataset`.
        split: see `ImageDataset`.
        samples: see `ImageDataset`.
    """

    def __init__(
        self,
        classes: NDArray[np.int64],
        stream: TokenFile,
        order: NDArray[np.int64],
        seed: int,
        split: Split,
        samples: int,
    ) -> None:
        super().__init__(stream, order, seed, split, samples)
        self.classes = classes

    def rows(self, indices: NDArray[np.int64]) -> Rows:
        """Return inputs and targets, int64 `[B, T]`, of the samples at `indices` `[B]`."""
        images = self.images(indices)
        pixels = self.pixels(images)
        targets = np.full_like(pixels, IGNORE_INDEX)
        targets[:, -1] = self.classes[images]
        return pixels, targets


def pixel_order(pixels: int, permute: int | None) -> NDArray[np.int64]:
    """Return the place of each timestep's pixel in an image of so many pixels, int64 `[pixels]`.

    Args:
        pixels: timesteps T.
        permute: None for row by row; else the seed of one random order, the same for every image.
    """
    return np.arange(pixels) if permute is None else np.random.default_rng(permute).permutation(pixels)


def with_start(pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put the black start pixel before pixels `[B, T]`."""
    return np.pad(pixels, ((0, 0), (1, 0)))
