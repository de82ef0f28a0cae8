"""What goes into a network: the data describe their inputs, and the description makes the encoder of each network."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from memtrain.limits import require_at_least


class InputEncoder(nn.Module, ABC):
    """Turns the input of each timestep into one vector."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs `[..., *step]`, in the form that the data give, to embedded inputs `[..., D]`."""


class InputDescription(ABC):
    """What the inputs of a data set are."""

    @property
    def known_ahead(self) -> int:
        """Numbers that are known of an input before it is observed, U."""
        return 0

    def unobserved(self, inputs: Tensor) -> Tensor:
        """Inputs `[..., *step]` of which only what is known ahead is left.

        Raises:
            ValueError: for inputs that say nothing without being observed.
        """
        raise ValueError(
            f"model.windows.observed is given, but the inputs are {self}, which say nothing unless they are observed; "
            "leave it out."
        )

    @abstractmethod
    def encoder(self, width: int) -> InputEncoder:
        """A new encoder of such inputs, with vectors of `width` features, D."""


class TokenEncoder(nn.Embedding, InputEncoder):
    """One learned vector for each token: int64 `[...]` to `[..., D]`."""


@dataclass(frozen=True)
class Tokens(InputDescription):
    """Inputs are tokens, int64 `[B, T]`.

    Args:
        vocabulary_size: number of different tokens, V.
    """

    vocabulary_size: int

    def __post_init__(self) -> None:
        """Refuse a vocabulary without tokens."""
        require_at_least("vocabulary_size", self.vocabulary_size, 1, example=256)

    def encoder(self, width: int) -> TokenEncoder:
        """See `InputDescription.encoder`."""
        return TokenEncoder(self.vocabulary_size, width)

    def __str__(self) -> str:
        return f"{self.vocabulary_size} tokens"
