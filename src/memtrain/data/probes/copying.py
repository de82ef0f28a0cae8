"""What the copy probes share: L symbols, then the go token, then their recall."""

from abc import ABC
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtrain.batch import IGNORE_INDEX
from memtrain.data.blocks import Rows
from memtrain.data.probes.base import ProbeDataModule
from memtrain.limits import require_at_least


def with_recall(shown: NDArray[np.int64], string: NDArray[np.int64], symbols: int) -> Rows:
    """Rows that ask for a string: what is shown, the go token, and blanks at which the string is the target.

    Args:
        shown: the string's symbols 1..n among blanks 0, int64 `[samples, L + blanks]`.
        string: int64 `[samples, L]`.
        symbols: number n of different symbols; the go token is n + 1.

    Returns:
        Inputs and targets, int64 `[samples, 2 L + blanks + 1]`.
    """
    remembered = string.shape[1]
    inputs = np.pad(shown, ((0, 0), (0, 1 + remembered)))
    inputs[:, shown.shape[1]] = symbols + 1
    targets = np.full_like(inputs, IGNORE_INDEX)
    targets[:, -remembered:] = string
    return inputs, targets


class CopyProbe(ProbeDataModule, ABC):
    """Base of the copy probes.

    Args:
        blanks: timesteps without a symbol before the go token. The difficulty; a sequence has
            2 * remembered + blanks + 1 timesteps.
        remembered: number of symbols of the string.
        symbols: number n of different symbols (tokens 1..n; 0 is a blank, n + 1 the go token). Chance is 1/n.
        **options: see `SequenceDataModule`.
    """

    difficulty_name = "blanks"

    def __init__(self, blanks: int = 99, remembered: int = 10, symbols: int = 8, **options: Any) -> None:
        require_at_least("data.blanks", blanks, 0, example=99)
        require_at_least("data.remembered", remembered, 1, example=10)
        require_at_least("data.symbols", symbols, 2, example=8)
        self.blanks = blanks
        self.remembered = remembered
        self.symbols = symbols
        super().__init__(**options)

    @property
    def vocabulary_size(self) -> int:
        """The blank, the symbols and the go token."""
        return self.symbols + 2

    @property
    def sequence_length(self) -> int:
        """Timesteps T: the symbols and blanks, the go token, and the recall."""
        return 2 * self.remembered + self.blanks + 1

    def chance(self) -> float:
        """Return 1/n."""
        return 1 / self.symbols

    def shortcut_accuracy(self) -> float:
        """Return 1/n: the last two inputs of a target are blanks and the go token."""
        return 1 / self.symbols
