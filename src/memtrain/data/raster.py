"""Images as pixel sequences, row by row: every pixel predicts the next, or the last one the class."""

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtrain.data.blocks import Split
from memtrain.data.entropy import conditional_entropy, entropy
from memtrain.data.gray import to_levels
from memtrain.data.images import image_files, label_files, read_images
from memtrain.data.raster_pixels import read_class_names, read_classes, write_pixels
from memtrain.data.raster_rows import ImageDataset, LabelDataset, pixel_order, with_start
from memtrain.data.repeats import warn_of_repeated_rows
from memtrain.data.sources import cache_identity, local_path, refuse_subset
from memtrain.data.token_file import TokenFile, cache_entry, prepare_once
from memtrain.data.tokens import TokenDataModule, TokenDataset
from memtrain.data.windows import WindowDataset
from memtrain.limits import LARGEST_SEED, require_at_least, require_between
from memtrain.networks.encoder import Tokens
from memtrain.networks.heads import Categorical, Score
from memtrain.networks.interface import Interface


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
        targets: "next": every pixel is predicted from those before it. "label": the class of the image, at its last
            pixel alone; it is the folder of an image, MNIST's files of labels, an array `labels` beside `images`, or
            the column `label` of a Hugging Face data set. (With the digits of MNIST in full: sequential MNIST.)
        permute: null for row by row; a number is the seed of one random order of the pixels, the same for every image
            and split, so that neighbors lie far apart. (With labels of MNIST: permuted MNIST.)
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
        targets: Literal["next", "label"] = "next",
        permute: int | None = None,
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
        if targets not in ("next", "label"):
            raise ValueError(f"data.targets is {targets!r}, but must be next or label; choose one of them.")
        if permute is not None:
            require_between("data.permute", permute, 0, LARGEST_SEED, example=0)
        if crop_length is not None:
            require_at_least("data.crop_length", crop_length, 1, example=image_size**2)
            if targets == "label" or permute is not None:
                option = "data.targets is label" if targets == "label" else f"data.permute is {permute}"
                raise ValueError(f"{option}, which needs whole images; leave data.crop_length out.")
        self.path = path
        self.image_size = image_size
        self.levels = levels
        self.threshold = threshold
        self.invert = invert
        self.crop_length = crop_length
        self.split_by = split_by
        self.targets = targets
        self.permute = permute
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
    def classes(self) -> int:
        """The gray levels, or the classes of images."""
        return self.levels if self.predicts_tokens else len(self.class_names)

    @property
    def predicts_tokens(self) -> bool:
        """Whether targets are pixels."""
        return self.targets == "next"

    @cached_property
    def class_names(self) -> list[str]:
        """Names of the classes of images in the order of their numbers; prepares the data if need be."""
        self.prepare_data()
        return read_class_names(self._entry)

    @property
    def sequence_length(self) -> int:
        """Timesteps T: pixels of an image, or of a crop."""
        return self.image_size**2 if self.crop_length is None else self.crop_length

    def prepare_data(self) -> None:
        """Write the pixels of each split into the cache, once."""
        prepare_once(self._entry, self._cache_key, self._write)

    def build_dataset(self, split: Split) -> TokenDataset:
        """Make one split; warn if what is evaluated occurs in training too."""
        stream = self.stream(split)
        if split != "train":
            rows, training = (self._images(name) for name in (split, "train"))
            warn_of_repeated_rows(training, rows, split, self.path or "scikit-learn's digits")
        if self.crop_length is not None:
            return WindowDataset(stream, "crop_length", self.crop_length, self.seed, split, self.evaluation_samples)
        shared = (stream, self._order, self.seed, split, self.evaluation_samples)
        return ImageDataset(*shared) if self.predicts_tokens else LabelDataset(self.labels(split), *shared)

    def stream(self, split: Split) -> TokenFile:
        """Return the pixels of all images of a split, row by row, end to end."""
        return TokenFile(self._entry / f"{split}.bin")

    def labels(self, split: Split) -> NDArray[np.int64]:
        """Return the classes of all images of a split, int64 `[N]`."""
        return read_classes(self._entry, split)

    def _images(self, split: Split) -> NDArray[np.uint8]:
        return self.stream(split).tokens.reshape(-1, self.image_size**2)

    def reference_lines(self) -> dict[str, float]:
        """Return what a constant, or a table of a pixel's neighbors, reaches on the test split.

        Returns:
            For targets "next" the entropy of a pixel, alone and given the left and the upper neighbor (nats). The left
            neighbor of a row's first pixel is the pixel before it in the sequence; outside the image is black. Of
            permuted pixels the neighbors are those at the same distances in the sequence.

            For targets "label" `chance`: the accuracy of always naming the most frequent class of the training split.
        """
        if not self.predicts_tokens:
            majority = np.bincount(self.labels("train")).argmax()
            return {"chance": float((self.labels("test") == majority).mean())}
        pixels = self.stream("test").tokens.astype(np.int64)
        images = (
            pixels[None] if self.crop_length is not None else pixels.reshape(-1, self.image_size**2)[:, self._order]
        )
        left = with_start(images[:, :-1])
        upper = np.pad(images[:, : -self.image_size], ((0, 0), (self.image_size, 0)))
        return {
            "unigram_entropy": entropy(images),
            "bigram_entropy": conditional_entropy(images, left, upper),
        }

    def render(self, tokens: Tensor) -> Tensor:
        """Draw pixels (targets or generated tokens) `[B, T]` as images, uint8 `[B, H, W]`.

        A last row that is not full is filled with black; of permuted pixels, a last image that is not.
        """
        size = self.image_size if self.permute is None else self.image_size**2  # permuted pixels fill a whole image
        filled = torch.nn.functional.pad(tokens, (0, -tokens.shape[1] % size))
        if self.permute is not None:
            filled = filled.unflatten(1, (-1, size))[:, :, np.argsort(self._order)].flatten(1)
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

    def interface(self) -> Interface:
        """See `SequenceDataModule.interface`; labels can be known, so they are scored by accuracy."""
        score: Score = self.score if self.predicts_tokens else "accuracy"
        return Interface(Tokens(self.vocabulary_size), Categorical(self.classes, score))

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return pixel_order(self.sequence_length, self.permute)

    @property
    def _entry(self) -> Path:
        return cache_entry(self.cache_folder, self._cache_key)

    @cached_property
    def _cache_key(self) -> dict[str, Any]:
        source: Any = self.path
        local = None if self.path is None else local_path(self.path)
        if local is not None or self.path is None:
            refuse_subset(self.subset, self.path)
        if local is not None:
            files = image_files(local)
            source = [
                str(local.resolve()),
                cache_identity(files if self.predicts_tokens else files + label_files(files)),
            ]
        names = ("image_size", "levels", "threshold", "invert", "split_by", "column", "held_out")
        return {
            "data": "raster",
            "format": 3,
            "source": source,
            **{name: getattr(self, name) for name in names},
            **({} if self.subset is None else {"subset": self.subset}),
            **({} if self.predicts_tokens else {"labels": True}),
        }

    def _write(self, folder: Path) -> None:
        options = (self.image_size, self.levels, self.threshold, self.invert)
        images = read_images(self.path, self.column, self.subset, self.split_by, labeled=not self.predicts_tokens)
        write_pixels(folder, images, lambda image: to_levels(image, *options), self.held_out, self.path)
