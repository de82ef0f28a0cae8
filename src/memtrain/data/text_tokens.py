"""Text into tokens, one an ASCII character, while it is read; and what is worth telling about it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from memtrain.data.text_files import Piece

END_OF_DOCUMENT = 0


@dataclass
class Tally:
    """What was read of one split.

    Attributes:
        characters: all characters.
        dropped: characters that are not ASCII.
        documents: documents with at least one character that was kept.
        empty: cells without text.
        separators: lines of plain text that end a document.
    """

    characters: int = 0
    dropped: int = 0
    documents: int = 0
    empty: int = 0
    separators: int = 0

    def write(self, file: Path, pieces: Iterable[Piece]) -> None:
        """Append documents to a file of tokens, each followed by `END_OF_DOCUMENT`, at constant memory."""
        kept = seen = 0  # characters of this document
        with file.open("ab") as stream:
            for text, ends, separator in pieces:
                encoded = text.encode("ascii", "ignore").replace(b"\0", b"")
                stream.write(encoded)
                kept, seen = kept + len(encoded), seen + len(text)
                self.separators += separator
                if ends:
                    if kept:
                        stream.write(bytes([END_OF_DOCUMENT]))
                    self.documents += kept > 0
                    self.empty += not seen
                    self.characters += seen
                    self.dropped += seen - kept
                    kept = seen = 0


def refuse_nothing(tallies: dict[str, Tally], path: str, column: str) -> None:
    """Refuse a source with a split that has rows but no text, or with nothing to train on.

    Args:
        tallies: those of each split that has files.
        path: the source.
        column: the column that was read.

    Raises:
        ValueError: saying why there is no text.
    """
    for split, tally in tallies.items():
        if tally.empty and not tally.characters:
            raise ValueError(
                f"data.column is {column!r}, but all {tally.empty} cells of it in the {split} split of {path} are "
                "empty; choose a column that holds text."
            )
        if tally.characters and not tally.documents:
            raise ValueError(
                f"data.path is {path}, but none of the {tally.characters} characters of its {split} split is ASCII, "
                "and others are dropped; give text in ASCII."
            )
    if "train" not in tallies:
        raise ValueError(
            f"data.path is {path}, where every file is called validation or test, so that there "
            f"is nothing to train on; rename one, or give the folder that holds the training files too."
        )
    if not tallies["train"].documents:
        raise ValueError(f"data.path is {path}, whose training files are empty; give files that hold text.")


def remarks(tallies: dict[str, Tally], path: str, separator: str | None) -> Iterator[str]:
    """Say what a reader of the text would not expect, one sentence each."""
    characters, dropped, empty, separators = (
        sum(getattr(tally, name) for tally in tallies.values())
        for name in ("characters", "dropped", "empty", "separators")
    )
    if dropped:
        yield f"{dropped} of {characters} characters in {path} are not ASCII and were dropped."
    if empty:
        cells = empty + sum(tally.documents for tally in tallies.values())
        yield f"{empty} of {cells} cells of text in {path} are empty and were skipped."
    if separators:
        yield (
            f"{separators} lines {separator} in {path} were read as ends of documents; set data.separator to null to "
            "read them as text."
        )
