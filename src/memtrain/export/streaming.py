"""`memtrain stream`: predictions as JSON lines, one input at a time, at constant memory."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Literal

from memtrain.export.folder import ExportedModel, open_export
from memtrain.export.interruption import Interruption, Told
from memtrain.export.rows import RowFormat, row_format
from memtrain.export.session import THREADS
from memtrain.export.sources import GrowingFile, Source, StandardInput
from memtrain.export.state import StreamState
from memtrain.files import require_folder
from memtrain.limits import require_at_least

Every = Literal["token", "line"]
TOP = 5
"""Likeliest tokens or classes that are written."""
SECONDS_BETWEEN_SAVES = 5.0
"""Of the state, while lines keep coming."""


def stream_predictions(
    export: Path,
    follow: Path | None = None,
    state: Path | None = None,
    every: Every = "token",
    top: int = TOP,
    threads: int = THREADS,
) -> None:
    """Read inputs until there are no more, or SIGINT or SIGTERM comes, and print a prediction for each.

    Args:
        export: folder that `memtrain export` has made.
        follow: a file to read from, and from what is appended to it; None: standard input.
        state: file of the memory: continued from where it is there, kept while lines come and at the end.
        every: token: a prediction after each; line: one after the last token of each line.
        top: likeliest tokens or classes that are written.
        threads: of the processor.

    Raises:
        ValueError: for a line that is no input, once the state of the lines before is saved; for a state or an export
            that cannot be used.
    """
    require_at_least("--top", top, 1, example=TOP)
    folder = open_export(export)
    model, ends = folder.model(threads), folder.interface
    rows = row_format(ends.inputs, ends.outputs, folder.datamodule(), top)
    digest, place = folder.description["file"]["sha256"], StreamState()
    if state is not None:
        require_folder("--state", state.parent)
        place = StreamState.load(state, digest, tuple(model.start.shape))
    source: Source = StandardInput() if follow is None else GrowingFile(follow, place.offset)
    interruption, saved = Interruption(), time.monotonic()
    stream = Stream(model, rows, place, every)
    try:
        with interruption.raised():
            for line in source.lines():
                written, after = stream.take(line)
                with interruption.held_back():  # what is written and where the stream stands agree
                    sys.stdout.writelines(written)
                    sys.stdout.flush()
                    stream.place = after
                if state is not None and time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                    stream.place.save(state, digest)
                    saved = time.monotonic()
    except Told:
        pass  # how a stream ends
    except BrokenPipeError:  # nobody reads on; without this Python complains of it once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        if state is not None:
            stream.place.save(state, digest)


class Stream:
    """A model that takes in lines.

    Args:
        model: what predicts.
        rows: reads lines and writes predictions.
        place: where the stream stands.
        every: see `stream_predictions`.
    """

    def __init__(self, model: ExportedModel, rows: RowFormat, place: StreamState, every: Every) -> None:
        self.model, self.rows, self.place, self.every = model, rows, place, every

    def take(self, line: bytes) -> tuple[list[str], StreamState]:
        """What a line predicts, as JSON lines, and where the stream stands behind it; the stream itself stays.

        Raises:
            ValueError: if it is no input.
        """
        written, place = list[str](), self.place
        memory, timestep, header, text = place.memory, place.timesteps, place.header, line.decode(errors="replace")
        try:
            if self.rows.is_header(text):  # with the first memory, so that a state of it alone can be kept
                memory, header, text = self.model.start if memory is None else memory, text, ""
            for inputs in self.rows.read(text, header):
                parameters, memory = self.model.step(inputs, memory)
                if self.every == "line":
                    written.clear()
                written.append(json.dumps({"timestep": timestep, **self.rows.write(inputs, parameters)}) + "\n")
                timestep += 1
        except ValueError as error:
            raise ValueError(f"Line {place.lines + 1}, timestep {timestep}: {error}") from error
        return written, StreamState(memory, timestep, place.offset + len(line), place.lines + 1, header)
