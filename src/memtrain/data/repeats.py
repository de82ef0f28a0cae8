"""Evaluation on what was trained on: rows and windows of a user's own files that occur in training too."""

import warnings

import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

SHORTEST_PASSAGE = 128
"""Characters; shorter passages ("Once upon a time, there was a little girl named") recur in sound text too."""

CHUNK = 1 << 16
PLACES = 64


@rank_zero_only
def warn_of_repeated_rows(
    training: NDArray[np.uint8], rows: NDArray[np.uint8], split: str, path: object, what: str = "images"
) -> None:
    """Warn of evaluation rows `[M, T]` that are training rows `[N, T]` too, with their number; `what` names a row."""
    _warn(int(np.isin(row_hashes(rows), row_hashes(training)).sum()), len(rows), what, split, path)


@rank_zero_only
def warn_of_repeated_text(
    training: NDArray[np.uint8], text: NDArray[np.uint8], starts: NDArray[np.int64], length: int, split: str, path: str
) -> None:
    """Warn of evaluation windows that occur word for word in the training text, with their number.

    Args:
        training: the training text `[N]`.
        text: the evaluation text `[M]`.
        starts: where its windows start.
        length: tokens of a window; what is looked for has `SHORTEST_PASSAGE` at least.
        split: what the evaluation text is called.
        path: the source.
    """
    width = max(length, SHORTEST_PASSAGE)
    fitting = starts[starts + width <= len(text)]
    windows = text[fitting[:, None] + np.arange(width)]
    _warn(int(repeated_windows(training, windows).sum()), len(windows), f"passages of {width} tokens", split, path)


def _warn(repeated: int, count: int, what: str, split: str, path: object) -> None:
    if repeated:
        warnings.warn(
            f"{repeated} of {count} {what} of the {split} split of {path} occur in its training split too, so that "
            f"results on them show memory, not skill; remove them from one of the two.",
            stacklevel=3,
        )


def row_hashes(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return a hash of each row `[N, T]`, uint64 `[N]`: equal for equal rows, and by chance for one pair in 2^64."""
    return np.concatenate(
        [np.empty(0, np.uint64), *(_chunk_hashes(rows[i : i + CHUNK]) for i in range(0, len(rows), CHUNK))]
    )


def _chunk_hashes(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 8)))
    total = np.zeros(len(rows), np.uint64)
    for words in padded.view(np.uint64).T:  # each step is one to one, so rows that differ in one word never collide
        total = (total ^ words) * np.uint64(0x9E3779B97F4A7C15)
        total ^= total >> np.uint64(32)
    return total


def repeated_windows(text: NDArray[np.uint8], windows: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say which windows `[M, W]`, W at least 16, occur anywhere in a text `[N]`.

    The text is cut into blocks of at most half a window. Wherever a window occurs, it covers a whole block, which
    starts within the window's first block of tokens. So one pass over the text and a few hashes of each window
    suffice; each place found is then compared in full. Of text so repetitive that a block occurs often, only some
    places are looked at.
    """
    width = windows.shape[1]
    block = min((width + 1) // 2, 128) // 8 * 8
    hashes = row_hashes(text[: len(text) // block * block].reshape(-1, block))
    order = np.argsort(hashes)
    hashes = hashes[order]
    return np.array([_occurs(text, window, block, hashes, order) for window in windows], dtype=np.bool_)


def _occurs(
    text: NDArray[np.uint8],
    window: NDArray[np.uint8],
    block: int,
    hashes: NDArray[np.uint64],
    order: NDArray[np.int64],
) -> bool:
    parts = row_hashes(sliding_window_view(window, block)[:block])
    first, last = (np.searchsorted(hashes, parts, side) for side in ("left", "right"))
    for offset in np.flatnonzero(last > first):
        for place in order[first[offset] : last[offset]][:PLACES] * block - offset:
            if place >= 0 and np.array_equal(text[place : place + len(window)], window):
                return True
    return False
