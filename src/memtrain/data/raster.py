"""Images as pixel sequences, row by row: every pixel predicts the next."""

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtrain.data.blocks import EVALUATION_SEED, Rows, Split, passes
from memtrain.data.entropy import conditional_entropy, entropy
from memtrain.data.gray import to_levels
from memtrain.data.images import image_files, read_images
from memtrain.data.repeats import warn_of_repeated_rows
from memtrain.data.sampler import ENDLESS
from memtrain.data.sources import cache_identity, local_path, refuse_subset
from memtrain.data.token_file import TokenFile, cache_entry, prepare_once
from memtrain.data.tokens import TokenDataModule, TokenDataset
from memtrain.data.windows import WindowDataset
from memtrain.limits import require_at_least, require_between


class ImageDataset(TokenDataset):
    """Whole images: inputs are a black start pixel and all pixels but the last, targets are all pixels.

    For example, an image of 2x2 pixels `5 0 / 7 3`::

        inputs   0  5  0  7
        targets  5  0  7  3

    So the first pixel is predicted too, from a token that is the same for every image; V stays the number
    of levels.

    Args:
        stream: the pixels of all images.
        pixels: pixels T of an image.
        seed: the run's seed (training split only, which passes through all images in one random order after
            another).
        split: "train", "val" or "test".
        samples: evaluation samples wanted; fewer if there are fewer images.
    """

    def __init__(self, stream: TokenFile, pixels: int, seed: int, split: Split, samples: int) -> None:
        images = len(stream) // pixels
        super().__init__(ENDLESS if split == "train" else min(samples, images))
        self.stream = stream
        self.pixels = pixels
        self.passes = passes(seed, images) if split == "train" else None

    def rows(self, indices: NDArray[np.int64]) -> Rows:
        """Return inputs and targets, int64 `[B, T]`, of the samples at `indices` `[B]`."""
        images = indices if self.passes is None else self.passes.take(indices)[0]
        targets = self.stream.windows(images * self.pixels, self.pixels)
        return with_start(targets[:, :-1]), targets


def with_start(pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put the black start pixel before pixels `[B, T]`."""
    return np.pad(pixels, ((0, 0), (1, 0)))


class RasterDataModule(TokenDataModule):
    """Gray-level images, row by row: handwritten digits, MNIST, Sketchy, QuickDraw or any folder.

    A source that has only a training split has `held_out` of its groups held out, half for validation and
    half for test; one held-out split serves as both, in halves. Folders and files called train,
    val(idation) or test are splits.

    Args:
        path: null for the digits that come with scikit-learn (1,797 images, no network), a Hugging Face
            data set (`owner/name`), a folder of images, MNIST's IDX files, or an .npz file with an array
            `images`. Files may be packed by gzip; each content counts once.
        image_size: height and width in pixels; other images are averaged down (and stretched to a square).
            A sequence has image_size * image_size timesteps.
        levels: number of gray levels V, 2 to 256. Fewer are easier to model and to sample.
        threshold: share of full brightness, in [0, 1), below which a pixel becomes black: sparser images.
        invert: exchange black and white. For drawings in black on white, so that the background is 0.
        crop_length: null for whole images; a number for crops of that many pixels from the images laid end
            to end.
        split_by: "photo" keeps image files whose names agree up to the last "-" in one split (Sketchy:
            drawings of one photo); "file" lets every file stand alone.
        column: name of the column of images in a Hugging Face data set.
        subset: name of the configuration, where a hub data set has several.
        held_out: share of the groups held out where the source has only a training split.
        cache_folder: where the prepared pixels are kept, one byte each; null = `memtrain` under
            `$XDG_CACHE_HOME` or `~/.cache`.
        **options: see `SequenceDataModule`.
    """

    modality: ClassVar[Literal["symbols", "text", "image"]] = "image"
    start_token: ClassVar[int | None] = 0

    def __init__(
        self,
        path: str | None = None,
        image_size: int = 8,
        levels: int = 16,
        threshold: float = 0.0,
        invert: bool = False,
        crop_length: int | None = None,
        split_by: Literal["photo", "file"] = "photo",
        column: str = "image",
        subset: str | None = None,
        held_out: float = 0.1,
        cache_folder: str | None = None,
        **options: Any,
    ) -> None:
        require_at_least("data.image_size", image_size, 2, example=8)
        require_between("data.levels", levels, 2, 256, example=16)
        require_between("data.threshold", threshold, 0, 0.99, example=0.1)
        require_between("data.held_out", held_out, 0.01, 0.9, example=0.1)
        if split_by not in ("photo", "file"):
            raise ValueError(f"data.split_by is {split_by!r}, but must be photo or file; choose one of them.")
        if crop_length is not None:
            require_at_least("data.crop_length", crop_length, 1, example=image_size**2)
        self.path = path
        self.image_size = image_size
        self.levels = levels
        self.threshold = threshold
        self.invert = invert
        self.crop_length = crop_length
        self.split_by = split_by
        self.column = column
        self.subset = subset
        self.held_out = held_out
        self.cache_folder = cache_folder
        super().__init__(**options)

    @property
    def vocabulary_size(self) -> int:
        """The gray levels."""
        return self.levels

    @property
    def sequence_length(self) -> int:
        """Timesteps T: pixels of an image, or of a crop."""
        return self.image_size**2 if self.crop_length is None else self.crop_length

    def prepare_data(self) -> None:
        """Write the pixels of each split into the cache, once."""
        key = self._cache_key
        prepare_once(cache_entry(self.cache_folder, key), key, self._write_pixels)

    def build_dataset(self, split: Split) -> TokenDataset:
        """Make one split; warn if what is evaluated occurs in training too."""
        stream = self.stream(split)
        if split != "train":
            rows, training = (self._images(name) for name in (split, "train"))
            warn_of_repeated_rows(training, rows, split, self.path or "scikit-learn's digits")
        if self.crop_length is not None:
            return WindowDataset(stream, "crop_length", self.crop_length, self.seed, split, self.evaluation_samples)
        return ImageDataset(stream, self.image_size**2, self.seed, split, self.evaluation_samples)

    def stream(self, split: Split) -> TokenFile:
        """Return the pixels of all images of a split, end to end."""
        return TokenFile(cache_entry(self.cache_folder, self._cache_key) / f"{split}.bin")

    def _images(self, split: Split) -> NDArray[np.uint8]:
        return self.stream(split).tokens.reshape(-1, self.image_size**2)

    def reference_lines(self) -> dict[str, float]:
        """Return the entropy of a pixel, alone and given left and upper neighbour, on the test split (nats).

        The left neighbour of a row's first pixel is the pixel before it in the sequence; outside the image
        is black.
        """
        pixels = self.stream("test").tokens.astype(np.int64)
        images = pixels[None] if self.crop_length is not None else pixels.reshape(-1, self.image_size**2)
        left = with_start(images[:, :-1])
        upper = np.pad(images[:, : -self.image_size], ((0, 0), (self.image_size, 0)))
        return {
            "unigram_entropy": entropy(images),
            "bigram_entropy": conditional_entropy(images, left, upper),
        }

    def render(self, tokens: Tensor) -> Tensor:
        """Draw pixels (targets or generated tokens) `[B, T]` as images, uint8 `[B, H, W]`.

        A last row that is not full is filled with black.
        """
        missing = -tokens.shape[1] % self.image_size
        filled = torch.nn.functional.pad(tokens, (0, missing))
        gray = (filled.double() * (255 / (self.levels - 1))).round().to(torch.uint8)
        return gray.reshape(len(tokens), -1, self.image_size)

    def encode_prompt(self, prompt: str) -> Tensor:
        """Return the start pixel, int64 `[1]`.

        Raises:
            ValueError: if the prompt is not empty: images cannot be started with words.
        """
        if prompt:
            raise ValueError(
                f"prompt is {prompt!r}, but images are generated from a start pixel; leave the prompt out."
            )
        return torch.tensor([0])

    @cached_property
    def _cache_key(self) -> dict[str, Any]:
        source: Any = self.path
        local = None if self.path is None else local_path(self.path)
        if local is not None or self.path is None:
            refuse_subset(self.subset, self.path)
        if local is not None:
            source = [str(local.resolve()), cache_identity(image_files(local))]
        names = ("image_size", "levels", "threshold", "invert", "split_by", "column", "held_out")
        return {
            "data": "raster",
            "format": 2,
            "source": source,
            **{name: getattr(self, name) for name in names},
            **({} if self.subset is None else {"subset": self.subset}),
        }

    def _write_pixels(self, folder: Path) -> None:
        groups: dict[str, dict[str, list[NDArray[np.uint8]]]] = {}
        for split, group, image in read_images(self.path, self.column, self.subset, self.split_by):
            pixels = to_levels(image, self.image_size, self.levels, self.threshold, self.invert)
            groups.setdefault(split, {}).setdefault(group, []).append(pixels)
        for split, chosen in share_out(groups, self.held_out).items():
            if not chosen:
                total = sum(len(members) for members in groups.values())
                raise ValueError(
                    f"data.path is {self.path}, whose images form {total} group{'s' * (total > 1)}, which leaves none "
                    f"for the {split} split; give more images, or set data.split_by to file if its images are "
                    f"independent."
                )
            (folder / f"{split}.bin").write_bytes(np.concatenate(chosen).tobytes())


def share_out(
    groups: dict[str, dict[str, list[NDArray[np.uint8]]]], held_out: float
) -> dict[str, list[NDArray[np.uint8]]]:
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
