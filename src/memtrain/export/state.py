"""StreamState: where a stream stands, on disk whole or not there."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from memtrain.files import write_bytes

COUNTS = ("timesteps", "offset", "lines")


@dataclass(frozen=True)
class StreamState:
    """A stream between two lines.

    Attributes:
        memory: `m_t`, `[1, K, D]`; None before the first input.
        timesteps: inputs taken in so far.
        offset: bytes that they were written in: a followed file is read from there on.
        lines: that these bytes are.
        header: the last line that said what stands where below it; empty where none has come.
    """

    memory: Tensor | None = None
    timesteps: int = 0
    offset: int = 0
    lines: int = 0
    header: str = ""

    def save(self, file: Path, export: str) -> None:
        """Write it in one step, unless nothing has been taken in.

        Args:
            file: where.
            export: SHA-256 of the exported step, without which the memory means nothing.
        """
        if self.memory is not None:
            counts = {name: str(getattr(self, name)) for name in COUNTS}
            place = {"export": export, "header": self.header, **counts}
            write_bytes(file, save({"memory": self.memory.contiguous()}, metadata=place))

    @classmethod
    def load(cls, file: Path, export: str, shape: tuple[int, ...]) -> "StreamState":
        """Read what `save` has written; the start where there is no such file.

        Args:
            file: where.
            export: SHA-256 of the exported step that goes on.
            shape: of a memory, `(1, K, D)`.

        Raises:
            ValueError: if it is something else, or the state of another export.
        """
        if not file.exists():
            return cls()
        try:
            with safe_open(file, "pt") as content:
                place, memory = content.metadata(), content.get_tensor("memory")
            counts = {name: int(place[name]) for name in COUNTS}
            state = cls(memory, **counts, header=place["header"])
            other = place["export"] != export or tuple(memory.shape) != shape
        except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"--state is {file}, which is no state of a stream ({error}); name another.") from error
        if other:
            raise ValueError(f"--state is {file}, the state of another export; name another file, or remove it.")
        return state
