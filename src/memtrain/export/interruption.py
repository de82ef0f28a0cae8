"""Interruption: SIGINT and SIGTERM end a stream between two lines, never within one."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Told(BaseException):
    """One of the signals has come."""


class Interruption:
    """Raises `Told` when a signal comes, or as soon as it is not held back any more."""

    def __init__(self) -> None:
        self.told, self.holding = False, False

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Within, the signals raise `Told`; afterwards they mean what they did before."""
        before = {number: signal.signal(number, self.receive) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """What is done within is done to its end."""
        self.holding = True
        try:
            yield
        finally:
            self.holding = False
        if self.told:
            raise Told

    def receive(self, number: int, frame: FrameType | None) -> None:
        """A signal has come."""
        self.told = True
        if not self.holding:
            raise Told
