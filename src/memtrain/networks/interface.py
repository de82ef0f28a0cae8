"""Interface: what goes in and what comes out of a network, as the data say it."""

from dataclasses import asdict, fields, is_dataclass
from typing import Any

from memtrain.networks.encoder import InputDescription, Tokens
from memtrain.networks.foresight import Foresight
from memtrain.networks.heads import Categorical, OutputDescription, OutputHead


class Interface:  # no dataclass: the command line would make options of its two ends
    """The two ends of a network.

    Args:
        inputs: what each `x_t` is.
        outputs: what each `y_t` is.
    """

    def __init__(self, inputs: InputDescription, outputs: OutputDescription) -> None:
        self.inputs, self.outputs = inputs, outputs

    @classmethod
    def of_tokens(cls, vocabulary_size: int) -> "Interface":
        """Tokens in, tokens out."""
        return cls(Tokens(vocabulary_size), Categorical(vocabulary_size))

    def head(self, features: int) -> OutputHead:
        """A new head on `features` features, F, which takes in what is known ahead."""
        head = self.outputs.head(features)
        if self.inputs.known_ahead:
            head.foresight = Foresight(features, self.inputs.known_ahead)
        return head

    def to_primitive(self) -> dict[str, Any]:
        """The descriptions as YAML primitives, each with `class_path` and `init_args`."""
        return {
            "class_path": class_path(self),
            "init_args": {
                "inputs": primitive(self.inputs),
                "outputs": primitive(self.outputs),
            },
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Interface) and (self.inputs, self.outputs) == (other.inputs, other.outputs)

    __hash__ = object.__hash__

    def __str__(self) -> str:
        return f"{self.inputs} in, {self.outputs} out"


def primitive(value: Any) -> Any:
    """A description, and what its fields hold, as YAML primitives."""
    if isinstance(value, InputDescription | OutputDescription):
        options = {field.name: primitive(getattr(value, field.name)) for field in fields(value)}  # type: ignore[arg-type]
        return {"class_path": class_path(value), "init_args": options}
    if isinstance(value, dict):
        return {name: primitive(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [primitive(part) for part in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def class_path(thing: object) -> str:
    """The dotted path of an object's class."""
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
