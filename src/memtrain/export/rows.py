"""RowFormat: how lines that a user sends become inputs of a step, and how its predictions are written."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from memtrain.data import SequenceDataModule, TokenDataModule
from memtrain.networks import Categorical, InputDescription, OutputDescription, Tokens

Inputs = Mapping[str, Tensor]
"""Inputs of one timestep of one sequence, by the names of `example_inputs`, `[1, ...]` each."""


class RowFormat(ABC):
    """Reads lines and writes predictions; one of each kind of inputs."""

    def is_header(self, line: str) -> bool:
        """Whether a line is no input, but says what stands where in the lines below it.

        Raises:
            ValueError: for a header that is wrong.
        """
        return False

    @abstractmethod
    def read(self, line: str, header: str = "") -> Iterator[Inputs]:
        """The timesteps of a line, none, one or more.

        Args:
            line: with its line break, which the last of a file may lack.
            header: the last line that was one; empty where none has come.

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
        data: what the tokens are.
        top: likeliest targets that are written, at most as many as there are.
    """

    def __init__(self, data: TokenDataModule, top: int) -> None:
        self.data, self.vocabulary_size, self.top = data, data.vocabulary_size, top

    def read(self, line: str, header: str = "") -> Iterator[Inputs]:
        """See `RowFormat.read`."""
        for word in line.replace(",", " ").split():
            # isdecimal takes digits of other scripts too, which int reads as well
            if not word.isdecimal() or int(word) >= self.vocabulary_size:
                raise ValueError(
                    f"{word[:40]!r} is no token; give numbers from 0 to {self.vocabulary_size - 1} and spaces between."
                )
            yield {"inputs": torch.tensor([int(word)])}

    def write(self, inputs: Inputs, parameters: Tensor) -> dict[str, Any]:
        """See `RowFormat.write`; targets that are classes are written as numbers."""
        probabilities, targets = parameters[0].double().softmax(-1).topk(self.top)
        ranked = zip(targets.tolist(), probabilities.tolist(), strict=True)
        name = self.shown if self.data.predicts_tokens else int
        return {
            "input": self.shown(int(inputs["inputs"])),
            "top": [[name(target), round(probability, 6)] for target, probability in ranked],
        }

    def shown(self, token: int) -> int | str:
        """A token as it is written."""
        return token


class Characters(Numbers):
    """Tokens as characters, line breaks among them, in the data's own encoding."""

    def read(self, line: str, header: str = "") -> Iterator[Inputs]:
        """See `RowFormat.read`."""
        for character in line:
            yield {"inputs": self.data.encode_prompt(character)}

    def shown(self, token: int) -> str:
        """See `Numbers.shown`."""
        (shown,) = self.data.render(torch.tensor([[token]]))
        assert isinstance(shown, str)
        return shown


@singledispatch
def row_format(
    description: InputDescription, outputs: OutputDescription, data: SequenceDataModule, top: int
) -> RowFormat:
    """How rows of such inputs are read and predictions written.

    A new kind of inputs registers its own: `row_format.register`.

    Args:
        description: what the inputs are.
        outputs: what is predicted.
        data: what the network was trained on.
        top: likeliest targets that are written.

    Raises:
        ValueError: for a kind that nothing is registered for.
    """
    raise unknown(description, outputs)


@row_format.register
def _(description: Tokens, outputs: OutputDescription, data: SequenceDataModule, top: int) -> RowFormat:
    if not isinstance(outputs, Categorical) or not isinstance(data, TokenDataModule):
        raise unknown(description, outputs)
    kind = Characters if data.modality == "text" else Numbers
    return kind(data, min(top, outputs.classes))


def unknown(description: InputDescription, outputs: OutputDescription) -> ValueError:
    """Of inputs or outputs that nothing is registered for."""
    return ValueError(
        f"The model has {description} in and {outputs} out, and nothing streams these; register them with "
        "memtrain.export.row_format."
    )
