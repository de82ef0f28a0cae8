"""RowFormat: how lines that a user sends become inputs of a step, and how its predictions are written."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from memtrain.data import SequenceDataModule
from memtrain.networks import InputDescription, Tokens

Inputs = Mapping[str, Tensor]
"""Inputs of one timestep of one sequence, by the names of `example_inputs`, `[1, ...]` each."""


class RowFormat(ABC):
    """Reads lines and writes predictions; one of each kind of inputs."""

    @abstractmethod
    def read(self, line: str) -> Iterator[Inputs]:
        """The timesteps of a line, none, one or more.

        Args:
            line: with its line break, which the last of a file may lack.

        Raises:
            ValueError: for a line that is no input.
        """

    @abstractmethod
    def write(self, inputs: Inputs, parameters: Tensor) -> dict[str, Any]:
        """A timestep's input and prediction as JSON-like primitives.

        Args:
            inputs: of the timestep.
            parameters: of its target, `[1, P]`.
        """


class Numbers(RowFormat):
    """Tokens as numbers, separated by spaces or commas: symbols, and levels of gray.

    Args:
        vocabulary_size: number of tokens, V.
        top: likeliest tokens that are written.
    """

    def __init__(self, vocabulary_size: int, top: int) -> None:
        self.vocabulary_size, self.top = vocabulary_size, min(top, vocabulary_size)

    def read(self, line: str) -> Iterator[Inputs]:
        """See `RowFormat.read`."""
        for word in line.replace(",", " ").split():
            # isdecimal takes digits of other scripts too, which int reads as well
            if not word.isdecimal() or int(word) >= self.vocabulary_size:
                raise ValueError(
                    f"{word[:40]!r} is no token; give numbers from 0 to {self.vocabulary_size - 1} and spaces between."
                )
            yield {"inputs": torch.tensor([int(word)])}

    def write(self, inputs: Inputs, parameters: Tensor) -> dict[str, Any]:
        """See `RowFormat.write`; tokens are numbers."""
        probabilities, tokens = parameters[0].double().softmax(-1).topk(self.top)
        ranked = zip(tokens.tolist(), probabilities.tolist(), strict=True)
        return {
            "input": self.shown(int(inputs["inputs"])),
            "top": [[self.shown(token), round(probability, 6)] for token, probability in ranked],
        }

    def shown(self, token: int) -> int | str:
        """A token as it is written."""
        return token


class Characters(Numbers):
    """Tokens as characters, line breaks among them, in the data's own encoding.

    Args:
        data: has the encoding.
        top: likeliest tokens that are written.
    """

    def __init__(self, data: SequenceDataModule, top: int) -> None:
        super().__init__(data.vocabulary_size, top)
        self.data = data

    def read(self, line: str) -> Iterator[Inputs]:
        """See `RowFormat.read`."""
        for character in line:
            yield {"inputs": self.data.encode_prompt(character)}

    def shown(self, token: int) -> str:
        """See `Numbers.shown`."""
        (shown,) = self.data.render(torch.tensor([[token]]))
        assert isinstance(shown, str)
        return shown


@singledispatch
def row_format(description: InputDescription, data: SequenceDataModule, top: int) -> RowFormat:
    """How rows of such inputs are read and their predictions written.

    A new kind of inputs registers its own: `row_format.register`.

    Args:
        description: what the inputs are.
        data: what the network was trained on.
        top: likeliest values that are written.

    Raises:
        ValueError: for inputs of a kind that nothing is registered for.
    """
    raise ValueError(
        f"The inputs are {description}, and nothing reads rows of these; register them with memtrain.export.row_format."
    )


@row_format.register
def _(description: Tokens, data: SequenceDataModule, top: int) -> RowFormat:
    return Characters(data, top) if data.modality == "text" else Numbers(description.vocabulary_size, top)
