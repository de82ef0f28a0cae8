"""Factories: what makes a network of a user's choice, in a form that checkpoints, copies and processes can take."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any


def plain_factory(option: str, factory: Callable[..., Any], base: type) -> Callable[..., Any]:
    """A factory that holds its class and options alone, so that modules can be copied and pickled.

    jsonargparse's holds the parser that made it.

    Args:
        option: its whole name.
        factory: a subclass of `base`, or a `functools.partial` of one with keyword arguments (as jsonargparse makes).
        base: class of what it makes.

    Raises:
        ValueError: for anything else, which no checkpoint could record.
    """
    arguments: dict[str, Any] = {}
    candidates: list[Any] = [factory]
    if isinstance(factory, partial):
        arguments, candidates = dict(factory.keywords), [factory.func, *factory.args]
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, base):
            return partial(candidate, **arguments) if arguments else candidate
    package = base.__module__.rpartition(".")[0]  # where a user imports it from
    raise ValueError(
        f"{option} is {factory!r}, but must be a subclass of {package}.{base.__qualname__} or a functools.partial of "
        "one with keyword arguments, so that checkpoints can record it."
    )


def primitive_factory(factory: Callable[..., Any], given: int) -> dict[str, Any]:
    """A factory as `class_path` and `init_args`, defaults written out.

    Args:
        factory: as `plain_factory` makes it.
        given: number of arguments that are not in `init_args`, because the caller gives them.

    Raises:
        ValueError: for options that no checkpoint can record.
    """
    kind = factory.func if isinstance(factory, partial) else factory
    arguments = factory.keywords if isinstance(factory, partial) else {}
    parameters = list(inspect.signature(kind).parameters.values())[given:]
    options = {p.name: p.default for p in parameters if p.default is not p.empty} | arguments
    for name, value in options.items():
        require_primitive(f"{kind.__name__}.{name}", value)
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": options}


def require_primitive(option: str, value: Any) -> None:
    """Refuse an option of a network that no checkpoint can record, as checkpoints hold no objects.

    Raises:
        ValueError: if it is neither None, a number, a string nor a list or dictionary of such.
    """
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple)):
        for entry in value:
            require_primitive(option, entry)
    elif type(value) not in (type(None), bool, int, float, str):
        raise ValueError(
            f"{option} is {value!r}, which no checkpoint can record; make the option a number or a string, and look "
            "up by it what the network needs."
        )
