"""Text as characters: ASCII bytes of documents from the hub or from local files, in windows."""

import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from memtrain.data.blocks import Split
from memtrain.data.copies import without_copies
from memtrain.data.entropy import conditional_entropy, entropy
from memtrain.data.repeats import warn_of_repeated_text
from memtrain.data.sources import cache_identity, hub_splits, local_path, refuse_subset, split_of
from memtrain.data.text_files import Piece, cells, read_file, text_files
from memtrain.data.text_tokens import END_OF_DOCUMENT, Tally, refuse_nothing, remarks
from memtrain.data.token_file import TokenFile, cache_entry, prepare_once
from memtrain.data.tokens import TokenDataModule, TokenDataset
from memtrain.data.windows import WindowDataset
from memtrain.limits import require_at_least, require_between


class TextDataModule(TokenDataModule):
    """Text, one token a character (ASCII), every character predicting the next.

    Documents are joined by token 0 and cut into windows. Other characters than ASCII are dropped and empty cells are
    skipped, each counted in one warning. A file or split whose name says "validation" or "test" is held out; if only
    one of these is there, its halves serve as validation and test set; if none is, the end of the training text is
    held out.

    Args:
        path: a Hugging Face data set (`owner/name`), a file, or a folder of files of one kind: `.parquet`,
            `.jsonl` or `.txt` (looked for in this order), packed by gzip or not. Each content counts once.
        length: timesteps T in a window, in characters.
        column: name of the column that holds the text.
        separator: the line that ends a document of a `.txt` file; null where such a file is one document, as it is
            where no line is this one. The default is what published text files use.
        subset: name of the configuration, where a hub data set has several.
        held_out: share of the text held out for validation and test where the source has no such split.
        cache_folder: where the prepared tokens are kept, about one byte a character; null = `memtrain` under
            `$XDG_CACHE_HOME` or `~/.cache`.
        **options: see `SequenceDataModule`.
    """

    modality: ClassVar[Literal["symbols", "text", "image"]] = "text"
    start_token: ClassVar[int | None] = END_OF_DOCUMENT

    def __init__(
        self,
        path: str = "roneneldan/TinyStories",
        length: int = 256,
        column: str = "text",
        separator: str | None = "<|endoftext|>",
        subset: str | None = None,
        held_out: float = 0.1,
        cache_folder: str | None = None,
        **options: Any,
    ) -> None:
        require_at_least("data.length", length, 1, example=256)
        require_between("data.held_out", held_out, 0.01, 0.9, example=0.1)
        if separator is not None and (separator != separator.strip() or len(separator.splitlines()) > 1):
            raise ValueError(
                f"data.separator is {separator!r}, but must be one line without spaces around it; choose for example "
                "<|endoftext|>, or null for one document a file."
            )
        self.path = path
        self.length = length
        self.column = column
        self.separator = separator
        self.subset = subset
        self.held_out = held_out
        self.cache_folder = cache_folder
        super().__init__(**options)

    @property
    def vocabulary_size(self) -> int:
        """All values of a byte."""
        return 256

    @property
    def sequence_length(self) -> int:
        """Timesteps T."""
        return self.length

    def prepare_data(self) -> None:
        """Write the tokens of each split into the cache, once."""
        key = self._cache_key
        prepare_once(cache_entry(self.cache_folder, key), key, self._write_tokens)

    def build_dataset(self, split: Split) -> TokenDataset:
        """Make one split; warn if what is evaluated occurs in training too."""
        stream = self.stream(split)
        dataset = WindowDataset(stream, "length", self.length, self.seed, split, self.evaluation_samples)
        if split != "train":
            training = self.stream("train").tokens
            warn_of_repeated_text(training, stream.tokens, dataset.starts, self.length + 1, split, self.path)
        return dataset

    def stream(self, split: Split) -> TokenFile:
        """Return all tokens of a split."""
        entry = cache_entry(self.cache_folder, self._cache_key)
        train = TokenFile(entry / "train.bin")
        present = [name for name in ("val", "test") if (entry / f"{name}.bin").is_file()]
        if split in present and len(present) == 2:
            return TokenFile(entry / f"{split}.bin")
        if present:
            held_out = TokenFile(entry / f"{present[0]}.bin")
        else:
            cut = int(len(train) * (1 - self.held_out))
            train, held_out = TokenFile(train.path, 0, cut), TokenFile(train.path, cut)
        if split == "train":
            return train
        return held_out.halves()[0 if split == "val" else 1]

    def reference_lines(self) -> dict[str, float]:
        """Return the entropy of a character, alone and given the one before, on the test split (nats)."""
        tokens = self.stream("test").tokens.astype("int64")
        return {
            "unigram_entropy": entropy(tokens[1:]),
            "bigram_entropy": conditional_entropy(tokens[1:], tokens[:-1]),
        }

    def render(self, tokens: Tensor) -> list[str]:
        """Write tokens `[B, T]` as B strings; the end of a document shows as ␀, a token beyond ASCII as �."""
        return [bytes(row).decode("ascii", "replace").replace("\0", "␀") for row in tokens.tolist()]

    def encode_prompt(self, prompt: str) -> Tensor:
        """Turn ASCII text into tokens, int64 `[T]`; an empty prompt is the end of the document before.

        Raises:
            ValueError: if the prompt holds other characters.
        """
        if not prompt.isascii():
            wrong = next(character for character in prompt if not character.isascii())
            raise ValueError(f"prompt holds {wrong!r}, which is not an ASCII character; leave it out.")
        return torch.tensor(list(prompt.encode("ascii")) or [END_OF_DOCUMENT])

    @cached_property
    def _cache_key(self) -> dict[str, Any]:
        local = local_path(self.path)
        source: Any = self.path
        if local is not None:
            refuse_subset(self.subset, self.path)
            source = [str(local.resolve()), cache_identity(text_files(local))]
        subset = {} if self.subset is None else {"subset": self.subset}
        options = {"column": self.column, "separator": self.separator, **subset}
        return {"data": "text", "format": 2, "source": source, **options}

    def _write_tokens(self, folder: Path) -> None:
        tallies: dict[str, Tally] = {}
        for name, pieces in self._sources():
            split = split_of(name)
            tallies.setdefault(split, Tally()).write(folder / f"{split}.bin", pieces)
        refuse_nothing(tallies, self.path, self.column)
        for split, tally in tallies.items():
            if not tally.documents:  # a held-out split of empty files is as good as none
                (folder / f"{split}.bin").unlink()
        for remark in remarks(tallies, self.path, self.separator):
            warnings.warn(remark, stacklevel=2)

    def _sources(self) -> Iterator[tuple[str, Iterator[Piece]]]:
        local = local_path(self.path)
        if local is None:
            for name, rows in hub_splits(self.path, self.subset).items():
                yield name, cells(rows, self.column, self.path)
            return

        def name_of(file: Path) -> str:
            return file.relative_to(local).as_posix() if local.is_dir() else file.name

        for file in without_copies(text_files(local), lambda file: split_of(name_of(file))):
            yield name_of(file), read_file(file, self.column, self.separator)
