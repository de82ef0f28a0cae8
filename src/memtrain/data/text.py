"""Text as characters: ASCII bytes of documents from the hub or from local files, in windows."""

import warnings
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from datasets import load_dataset
from torch import Tensor

from memtrain.data.base import SequenceDataModule, SequenceDataset
from memtrain.data.blocks import Split
from memtrain.data.entropy import conditional_entropy, entropy
from memtrain.data.sources import (
    describe_files,
    files_under,
    hub_splits,
    local_path,
    one_line,
    refuse_subset,
    require_column,
    split_of,
)
from memtrain.data.token_file import TokenFile, cache_entry, prepare_once
from memtrain.data.windows import WindowDataset
from memtrain.options import require_at_least, require_between

END_OF_DOCUMENT = 0
LOADERS = {".parquet": "parquet", ".jsonl": "json", ".txt": "text"}


class TextDataModule(SequenceDataModule):
    """Text, one token a character (ASCII), every character predicting the next.

    Documents are joined by token 0 and cut into windows; other characters than ASCII are dropped, and
    counted in one warning. A file or split whose name says "validation" or "test" is held out; if only one
    of these is there, its halves serve as validation and test set; if none is, the end of the training text
    is held out.

    Args:
        path: a Hugging Face data set (`owner/name`), a file, or a folder of files of one kind: `.parquet`,
            `.jsonl` or `.txt` (looked for in this order; a `.txt` file is one document).
        length: timesteps T in a window, in characters.
        column: name of the column that holds the text.
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
        subset: str | None = None,
        held_out: float = 0.1,
        cache_folder: str | None = None,
        **options: Any,
    ) -> None:
        require_at_least("data.length", length, 1, example=256)
        require_between("data.held_out", held_out, 0.01, 0.9, example=0.1)
        self.path = path
        self.length = length
        self.column = column
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

    def build_dataset(self, split: Split) -> SequenceDataset:
        """Make one split."""
        return WindowDataset(self.stream(split), "length", self.length, self.seed, split, self.evaluation_samples)

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
            files = text_files(local)
            source = [str(local.resolve()), describe_files(files)]
        subset = {} if self.subset is None else {"subset": self.subset}
        return {"data": "text", "format": 1, "source": source, "column": self.column, **subset}

    def _write_tokens(self, folder: Path) -> None:
        characters = dropped = 0
        for name, documents in self._documents():
            with (folder / f"{split_of(name)}.bin").open("ab") as file:
                for document in documents:
                    encoded = document.encode("ascii", "ignore").replace(b"\0", b"")
                    characters += len(document)
                    dropped += len(document) - len(encoded)
                    file.write(encoded + bytes([END_OF_DOCUMENT]))
        if not (folder / "train.bin").is_file():
            raise ValueError(
                f"data.path is {self.path}, where every file is called validation or test, so that there "
                f"is nothing to train on; rename one, or give the folder that holds the training files too."
            )
        if dropped:
            warnings.warn(
                f"{dropped} of {characters} characters in {self.path} are not ASCII and were dropped.",
                stacklevel=2,
            )

    def _documents(self) -> Iterator[tuple[str, Iterator[str]]]:
        local = local_path(self.path)
        if local is None:
            for name, rows in hub_splits(self.path, self.subset).items():
                yield name, self._texts(rows, self.path)
        else:
            for file in text_files(local):
                name = file.relative_to(local).as_posix() if local.is_dir() else file.name
                yield name, self._texts(_open_text(file), file)

    def _texts(self, rows: Iterable[dict[str, Any]], source: object) -> Iterator[str]:
        for row in rows:
            require_column(row, self.column, source)
            text = row[self.column]
            if not isinstance(text, str):
                raise ValueError(
                    f"data.column is {self.column!r}, but in {source} it holds a {type(text).__name__}, "
                    f"not text; choose a column of text among {', '.join(sorted(row))}."
                )
            yield text


def text_files(path: Path) -> list[Path]:
    """List a source's text files: the file itself, or all files of one kind in a folder, in order of name.

    Raises:
        ValueError: if there is none.
    """
    files = files_under(path)
    for suffix in LOADERS:
        chosen = [file for file in files if file.suffix == suffix]
        if chosen:
            return chosen
    raise ValueError(
        f"data.path is {path}, which holds no {', '.join(LOADERS)} file; give such a file or a folder of them."
    )


def _open_text(file: Path) -> Iterable[dict[str, Any]]:
    loader = LOADERS[file.suffix]
    options = {"sample_by": "document", "encoding_errors": "replace"} if loader == "text" else {}
    try:
        rows = load_dataset(loader, data_files=str(file), split="train", streaming=True, **options)
        yield from rows
    except Exception as error:  # each file format has errors of its own; the user needs to know the file
        raise ValueError(
            f"{file} is not a readable {file.suffix} file ({one_line(error)}); repair or remove it."
        ) from error
