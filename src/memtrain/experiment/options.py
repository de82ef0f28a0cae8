"""Options that a run has in place of the file's: their names, and where in a stage's configuration they go."""

import re
from collections.abc import Mapping
from typing import Any

from memtrain.files import digest

Options = Mapping[str, Any]
"""Values by the names of `grid.options`; an option that is not in it keeps the file's value."""
EVERY = "*"
"""In place of a stage's name: all stages of the method whose model has the option."""
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
LONGEST_NAME = 120
"""Characters of a folder's name."""


def number(value: Any) -> Any:
    """0.001 for "1e-3", which YAML takes for a word; any other value as it is."""
    return float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value


def spelled(options: Options, separator: str = " ") -> str:
    """`smt.model.learning_rate=0.001 data.batch_size=32`."""
    values = {name: f"{value:g}" if is_short(value) else value for name, value in options.items()}
    return separator.join(f"{name}={value}" for name, value in values.items())


def is_short(value: Any) -> bool:
    """Whether six digits say all of a number."""
    return isinstance(value, float) and float(f"{value:g}") == value


def folder_name(options: Options) -> str:
    """The name of a trial's folder, another for each trial."""
    name = spelled(options, ",").replace(f"{EVERY}.", "all.")
    if len(name) <= LONGEST_NAME and re.fullmatch(r"[\w.=,+-]+", name):
        return name
    return re.sub(r"[^\w.=,+-]+", "_", name)[:LONGEST_NAME] + "-" + digest(dict(options))


def apply_options(
    model: dict[str, Any], data: dict[str, Any], stage: str, options: Options, known: Options, first: bool
) -> set[str]:
    """Put the options that concern a stage into its model and data, which are changed in place.

    Args:
        model: `class_path` and `init_args` of the stage's module.
        data: `class_path` and `init_args` of its data module.
        stage: its name.
        options: of the run.
        known: all options of the module, by name, with their values.
        first: whether the method begins with the stage; one that does not has the networks of the stage before.

    Returns:
        The names of those options.
    """
    used = set()
    for name, value in options.items():
        place, _, path = name.partition(".")
        if place == "data":
            put(data["init_args"], path, value)
        elif place == "network":
            if "network" not in known or (known["network"] is None and not first):
                continue
            put(model["init_args"], name, value)
        else:
            path = path.removeprefix("model.")
            if place not in (stage, EVERY) or (place == EVERY and path.split(".")[0] not in known):
                continue
            put(model["init_args"], path, value)
        used.add(name)
    return used


def put(content: dict[str, Any], path: str, value: Any) -> None:
    """Set an entry of nested dictionaries; those on the way are copied, for others may hold them too."""
    name, _, rest = path.partition(".")
    if not rest:
        content[name] = value
        return
    within = content.get(name)
    if within is not None and not isinstance(within, dict):
        raise ValueError(f"grid.options names {path}, but {name} is {within!r}, which has no entries.")
    content[name] = dict(within or {})
    put(content[name], rest, value)


def of_samples(options: Options) -> dict[str, Any]:
    """Those options of the data that change the samples themselves, not how many of them make a batch."""
    named = {name.removeprefix("data."): value for name, value in options.items() if name.startswith("data.")}
    return {name: value for name, value in named.items() if name not in ("batch_size", "workers")}
