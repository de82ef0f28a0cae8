"""Looks through a configuration's Trainer for what `memtrain.fit.refusals` lists."""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

from jsonargparse import Namespace
from lightning.fabric.plugins.environments import LSFEnvironment, MPIEnvironment, TorchElasticEnvironment
from lightning.pytorch.callbacks import DeviceStatsMonitor

from memtrain.files import expanded
from memtrain.fit.refusals import CLASSES, OPTIONS, PACKAGES, RefusedClass


def require_usable(trainer: Namespace) -> None:
    """Refuse Trainer options, callbacks, plugins and loggers with which a run would not do what it says.

    Args:
        trainer: its options, parsed and not yet built.

    Raises:
        ValueError: naming option, value and remedy of the first.
    """
    for option, refused in OPTIONS.items():
        value = trainer.get(option)
        if not refused.accepts(value):
            raise ValueError(f"trainer.{option} is {value}, but {refused.reason}; {refused.remedy}.")
    for option in ("callbacks", "plugins", "profiler", "logger"):
        for kind, arguments in chosen(trainer.get(option)):
            for entry in CLASSES.get(option, ()):
                if issubclass(kind, entry.kind) and (entry.when is None or entry.when(arguments)):
                    raise ValueError(refusal(option, kind, arguments, entry))
            require_package(option, kind, arguments)
            require_started(option, kind)


def without_enums(trainer: Namespace) -> None:
    """Replace members of enumerations, as Timer has one for a default, by their values, which YAML can hold."""
    for option in ("callbacks", "plugins", "profiler", "logger"):
        for entry in entries(trainer.get(option)):
            arguments = entry.get("init_args") or {}
            for name, value in list(arguments.items()):
                if isinstance(value, Enum):
                    arguments[name] = value.value


def refusal(option: str, kind: type, arguments: Mapping[str, Any], entry: RefusedClass) -> str:
    """The sentence that refuses a class, or an argument of it."""
    shown = f" with {entry.shown} {arguments.get(entry.shown)}" if entry.shown else ""
    return f"trainer.{option} has {kind.__name__}{shown}, but {entry.reason}; {entry.remedy}."


def explain(words: Sequence[str]) -> None:
    """Refuse a class that no run can use, where a command line was refused for an option of it.

    Args:
        words: the command line.

    Raises:
        ValueError: saying so.
    """
    pairs = [(*word.partition("=")[::2], after) for word, after in pairwise([*words, ""])]
    files = [expanded(name, value or after) for name, value, after in pairs if name in ("--config", "-c")]
    given = " ".join([*words, *(file.read_text(encoding="utf-8") for file in files if file.is_file())])
    for option, classes in CLASSES.items():
        for entry in classes:
            if entry.when is None and entry.kind.__name__ in given:
                raise ValueError(refusal(option, entry.kind, {}, entry))


def require_started(option: str, kind: type) -> None:
    """Refuse a cluster's environment where that cluster has not started this process; of SLURM see `require_srun`.

    Raises:
        ValueError: naming it.
    """
    if issubclass(kind, (LSFEnvironment, MPIEnvironment, TorchElasticEnvironment)) and not kind.detect():
        raise ValueError(
            f"trainer.{option} has {kind.__name__}, but nothing of this kind has started this process; start it so, or "
            f"leave {kind.__name__} out."
        )


def require_package(option: str, kind: type, arguments: Mapping[str, Any]) -> None:
    """Refuse a class of Lightning whose package is not installed.

    Raises:
        ValueError: naming both.
    """
    package = next((PACKAGES[base.__name__] for base in kind.__mro__ if base.__name__ in PACKAGES), None)
    if issubclass(kind, DeviceStatsMonitor) and arguments.get("cpu_stats") is False:
        return
    if package is not None and find_spec(package) is None:
        raise ValueError(
            f"trainer.{option} has {kind.__name__}, which needs the package {package}; install it, or leave "
            f"{kind.__name__} out."
        )


def chosen(value: Any) -> Iterator[tuple[type, Mapping[str, Any]]]:
    """The classes that an option names, with their `init_args`; nothing for numbers, names and booleans."""
    for entry in entries(value):
        module, _, name = entry["class_path"].rpartition(".")
        arguments = entry.get("init_args") or {}
        yield getattr(import_module(module), name), dict(arguments.items())


def entries(value: Any) -> list[Any]:
    """The `class_path` and `init_args` of each class that an option names."""
    given = value if isinstance(value, list) else [value]
    return [entry for entry in given if isinstance(entry, (Namespace, Mapping)) and "class_path" in entry]
