"""Rows: what `TokenDataset.rows` gives, and the check of the first of them."""

import numpy as np
from numpy.typing import NDArray

from memtrain.batch import IGNORE_INDEX


def check_rows(
    place: str, rows: tuple[NDArray[np.int64], ...], shape: tuple[int, int], vocabulary_size: int, classes: int
) -> None:
    """Refuse a data set whose first rows are not what every stage takes for granted.

    Args:
        place: the data set and its split, as the end of "The inputs of ...".
        rows: inputs and targets, int64 `[B, T]` each.
        shape: B and T.
        vocabulary_size: number of tokens, V.
        classes: number of different targets.

    Raises:
        ValueError: naming the data set and what is wrong.
    """
    if len(rows) != 2:
        kind = place.partition(",")[0]
        raise ValueError(f"rows() of {kind} gives {len(rows)} arrays, but must give inputs, targets.")
    for name, values, size in zip(("inputs", "targets"), rows, (vocabulary_size, classes), strict=True):
        subject = f"The {name} of {place},"
        if not isinstance(values, np.ndarray) or values.dtype != np.int64:
            kind = getattr(values, "dtype", type(values).__name__)
            raise ValueError(f"{subject} are {kind}, but must be NumPy arrays of int64.")
        if values.shape != shape:
            raise ValueError(
                f"{subject} have shape {values.shape}, but {shape[0]} rows of sequence_length are {shape}."
            )
        real = values[values != IGNORE_INDEX] if name == "targets" else values
        if real.size and not (real.min() >= 0 and real.max() < size):
            missing = f", or {IGNORE_INDEX} for no target" if name == "targets" else ""
            raise ValueError(f"{subject} lie in {real.min()}..{real.max()}, but must be in 0..{size - 1}{missing}.")
