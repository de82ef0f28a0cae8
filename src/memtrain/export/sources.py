"""Where a stream's lines come from: standard input, or a file that grows."""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

LONGEST_LINE = 1 << 16
"""Bytes; longer ones are refused, so that a stream needs the same memory whatever it is sent."""
SECONDS_BETWEEN_LOOKS = 0.1
"""At the end of a followed file."""


class Source(ABC):
    """Lines, one after the other."""

    @abstractmethod
    def lines(self) -> Iterator[bytes]:
        """The lines, each with its line break, which the last may lack.

        Raises:
            ValueError: for a line that is too long.
        """


class StandardInput(Source):
    """Lines of standard input, until it ends."""

    def lines(self) -> Iterator[bytes]:
        """See `Source.lines`."""
        while line := sys.stdin.buffer.readline(LONGEST_LINE + 1):
            yield checked(line)


class GrowingFile(Source):
    """Whole lines of a file, as they are written, without end.

    Args:
        path: the file.
        offset: bytes of it to leave out.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is shorter.
    """

    def __init__(self, path: Path, offset: int) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"--follow is {path}, which is no file; name one that is there.")
        if path.stat().st_size < offset:
            raise ValueError(
                f"--follow is {path}, which has {path.stat().st_size} bytes, but --state has read {offset} of it; "
                "name the file that it was, or another state."
            )
        self.path, self.offset = path, offset

    def lines(self) -> Iterator[bytes]:
        """See `Source.lines`."""
        with self.path.open("rb") as file:
            position = self.offset
            while True:
                file.seek(position)
                line = checked(file.readline(LONGEST_LINE + 1))
                if line.endswith(b"\n"):
                    position += len(line)
                    yield line
                else:
                    time.sleep(SECONDS_BETWEEN_LOOKS)


def checked(line: bytes) -> bytes:
    """The line itself.

    Raises:
        ValueError: if it is too long.
    """
    if len(line) > LONGEST_LINE:
        raise ValueError(f"A line is longer than {LONGEST_LINE:,} bytes; break it into lines.")
    return line
