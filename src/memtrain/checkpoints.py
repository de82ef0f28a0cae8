"""Checkpoints: reading them safely, and handing networks from stage to stage."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError  # what torch raises; nothing is unpickled here
from typing import Any

import torch
from jsonargparse import ArgumentParser
from torch import nn

from memtrain.files import expanded
from memtrain.networks import Interface


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of memtrain; nothing in it is executed.

    Args:
        path: a `.ckpt` file.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is truncated, of another program, or carries code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"The checkpoint {path} does not exist; give the path of a .ckpt file of memtrain.")
    try:
        return read_checkpoint(path)
    except ValueError as error:
        others = sorted(path.parent.glob("*.ckpt"), key=lambda other: other.stat().st_mtime, reverse=True)
        sound = next((other for other in others if other != path and is_sound(other)), None)
        remedy = f"the last good one beside it is {sound}" if sound else "give another; there is no good one beside it"
        raise ValueError(f"The checkpoint {path} {error}; {remedy}.") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a file that may be anything.

    Raises:
        ValueError: saying what is wrong with it, as the rest of a sentence.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            "carries objects other than tensors and plain values, or is damaged, and was not loaded"
        ) from error
    except (RuntimeError, EOFError, OSError, LookupError, AttributeError) as error:  # what the unpickler trips over
        raise ValueError("is truncated or damaged and was not loaded") from error
    if not isinstance(checkpoint, dict) or "memtrain" not in checkpoint:
        raise ValueError("was not written by memtrain (it records no stage) and was not loaded")
    return checkpoint


def is_sound(path: Path) -> bool:
    """Whether a file is a whole checkpoint of memtrain."""
    try:
        read_checkpoint(path)
    except ValueError:
        return False
    return True


def load_weights(module: nn.Module, weights: Mapping[str, Any], path: str | Path) -> None:
    """Give a module the weights of a checkpoint.

    Args:
        module: takes them.
        weights: by name, as of `state_dict`.
        path: of the checkpoint.

    Raises:
        ValueError: if the module has others, as after a change of its class.
    """
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:  # names every weight that is missing or of another shape, a line each
        raise ValueError(
            f"The checkpoint {path} has other weights than {type(module).__name__} has here "
            f"({' '.join(str(error).split())[:200]}): a class has changed since; bring it back, or train again."
        ) from None


def rebuilt(kind: Any, recorded: Mapping[str, Any]) -> Any:
    """An object of type `kind`, from the YAML primitives that a checkpoint records."""

    def hold(options: Any) -> None:
        """Has one parameter of that type; jsonargparse accepts classes without type hints in functions alone."""

    hold.__annotations__["options"] = kind
    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(hold, fail_untyped=False)
    return parser.instantiate(parser.parse_object({"options": recorded})).options


@dataclass(frozen=True)
class Source:
    """The stage that another one starts from.

    Attributes:
        path: the checkpoint file.
        checkpoint: what the next stage needs of it: no optimizer's state, and no weights once these are restored.
    """

    path: str
    checkpoint: dict[str, Any]

    def options(self, option: str, kind: Any) -> Any:
        """What an option of its stage was, of type `kind`.

        Raises:
            ValueError: if its stage has no such option.
        """
        recorded = self.checkpoint["hyper_parameters"].get(option)
        if recorded is None:
            raise ValueError(
                f"init_from is {self.path}, a checkpoint of stage {self.checkpoint['memtrain']['stage']}, which has no "
                f"model.{option} to take over; give one of a stage that has."
            )
        return rebuilt(kind, recorded)

    @property
    def counters(self) -> dict[str, Any]:
        """The cost so far."""
        return self.checkpoint["memtrain"]["counters"]

    @property
    def provenance(self) -> list[dict[str, Any]]:
        """All stages so far: path, stage, step and SHA-256 of each checkpoint."""
        with Path(self.path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        entry = {
            "path": self.path,
            "stage": self.checkpoint["memtrain"]["stage"],
            "step": self.checkpoint["global_step"],
            "sha256": digest,
        }
        return [*self.checkpoint["memtrain"]["provenance"], entry]

    def compare(self, interface: Interface, option: str, ours: Mapping[str, Any]) -> None:
        """Refuse a stage with other inputs, outputs or networks than the source's.

        Args:
            interface: of the stage that starts.
            option: that sets its networks.
            ours: what that option is, as YAML primitives.

        Raises:
            ValueError: naming what differs.
        """
        recorded = self.checkpoint["hyper_parameters"]
        trained = rebuilt(Interface, recorded["interface"])
        if trained != interface:
            raise ValueError(
                f"init_from is {self.path}, trained on data with {trained}, but the data have {interface}"
                f"{', of other names, scales or sizes' if str(trained) == str(interface) else ''}; give a checkpoint "
                "that was trained on such data."
            )
        theirs = recorded.get(option, {})
        differing = [name for name in ours if theirs.get(name) != ours[name]]
        if differing:
            raise ValueError(
                f"init_from is {self.path}, whose {option}.{differing[0]} is {theirs.get(differing[0])}, but here it "
                f"is {ours[differing[0]]}; leave out model.{option} to take over the checkpoint's."
            )

    def restore(self, networks: Mapping[str, nn.Module | None], required: tuple[str, ...]) -> None:
        """Copy the weights of teacher and RNN, as far as both sides have them.

        Args:
            networks: those of the stage that starts, by name; None: it has none of that name.
            required: names of the networks that the source must have.

        Raises:
            ValueError: if a required network is missing.
        """
        state = self.checkpoint["state_dict"]
        for name, network in networks.items():
            part = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
            if not part and name in required:
                stage = self.checkpoint["memtrain"]["stage"]
                raise ValueError(
                    f"model.init_from is {self.path}, a checkpoint of stage {stage} without {name}; give one of stage "
                    f"{'teacher or smt' if required == ('teacher',) else 'smt or dmt'}."
                )
            if network is not None and part:
                load_weights(network, part, self.path)

    def forget_weights(self) -> None:
        """Free the memory of the weights, which a whole stage would otherwise hold beside its own."""
        self.checkpoint.pop("state_dict", None)


def load_source(path: str | Path) -> Source:
    """Read the checkpoint that a stage starts from; see `load_checkpoint` for what is raised."""
    path = expanded("model.init_from", path)
    if not path.is_file():
        raise FileNotFoundError(
            f"model.init_from is {path}, which does not exist; give the last checkpoint of the stage before."
        )
    checkpoint = load_checkpoint(path)
    needed = {name: checkpoint[name] for name in ("state_dict", "memtrain", "hyper_parameters", "global_step")}
    return Source(str(path), needed)
