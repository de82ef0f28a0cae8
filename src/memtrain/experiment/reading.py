"""Reading an experiment file, with the changes of the command line."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError

from memtrain.experiment.checks import check
from memtrain.experiment.specification import Experiment
from memtrain.parsing import SentenceParser, sentence


def read_experiment(
    file: Path,
    changes: Sequence[str] = (),
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> Experiment:
    """Read an experiment file.

    Args:
        file: the YAML file.
        changes: `KEY=VALUE` each, as `budget.seconds=600`; the value is YAML.
        methods: keep only these methods.
        seeds: use these seeds.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for unknown or contradicting entries. The options of models, data and trainer are checked by
            `memtrain.experiment.plan`, which builds each stage's configuration.
    """
    if not file.is_file():
        raise FileNotFoundError(f"There is no experiment file {file}; name one, as experiments/demo/experiment.yaml.")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{file} is no YAML file ({reason}); name one, as experiments/demo/experiment.yaml.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} is no experiment; give it entries name, claim, data, stages, methods, budget.")
    content = unshared(content)
    for change in changes:
        apply_change(content, change)
    fill(content)
    require_plain(content, file)
    parser = SentenceParser()
    parser.add_class_arguments(Experiment)
    try:
        experiment: Experiment = Experiment(**parser.instantiate(parser.parse_object(content)))
    except ArgumentError as error:
        raise ValueError(f"{file}: {sentence(error)}") from None
    if methods is not None:
        unknown = [name for name in methods if name not in experiment.methods]
        if unknown:
            raise ValueError(f"--methods names {unknown[0]}, but {file} has {', '.join(experiment.methods)}.")
        family = experiment.family and pairs_among(experiment.family, methods)
        experiment = replace(select(experiment, methods), family=family)
    if seeds is not None:
        experiment = replace(experiment, seeds=list(seeds))
    check(experiment)
    return experiment


def fill(content: Any) -> None:
    """Put an empty mapping in place of one whose lines are all commented out."""
    for name, entry in content.items() if isinstance(content, dict) else enumerate(content):
        if entry is None and name in ("data", "trainer", "init_args"):
            content[name] = {}
        elif isinstance(entry, (dict, list)):
            fill(entry)


def require_plain(content: Any, file: Path, place: str = "") -> None:
    """Refuse values that JSON cannot hold, for runs are recorded as JSON, and `init_args` that are no mapping."""
    if isinstance(content, dict):
        for name, entry in content.items():
            if not isinstance(name, str):
                raise ValueError(f"{file}: {place or 'the file'} has the entry {name!r}, which is no word; quote it.")
            within = f"{place}.{name}" if place else name
            if name == "init_args" and not isinstance(entry, dict):
                raise ValueError(f"{file}: {within} is {entry!r}, but must be options and their values.")
            require_plain(entry, file, within)
    elif isinstance(content, list):
        for number, entry in enumerate(content):
            require_plain(entry, file, f"{place}[{number}]")
    elif not isinstance(content, (str, int, float, type(None))):
        raise ValueError(f"{file}: {place} is {content}, which YAML takes for a {type(content).__name__}; quote it.")


def select(experiment: Experiment, methods: Sequence[str]) -> Experiment:
    """The experiment with these of its methods alone, and no options to choose for the others."""
    grid, left_out = experiment.grid, set(experiment.methods) - set(methods)
    if grid is not None:
        options = {method: own for method, own in grid.options.items() if method not in left_out}
        grid = replace(grid, options=options)
    equal = experiment.equal_sequential_flops
    if equal is not None:
        kept = [method for method in equal.methods if method not in left_out]
        experiment = replace(experiment, equal_sequential_flops=replace(equal, methods=kept) if kept else None)
    return replace(experiment, methods={name: experiment.methods[name] for name in methods}, grid=grid)


def pairs_among(family: Sequence[list[str]], methods: Sequence[str]) -> list[list[str]]:
    """The pairs of a family that are of these methods."""
    return [pair for pair in family if set(pair) <= set(methods)]


def unshared(content: Any) -> Any:
    """A copy of what YAML reads, in which an alias is a copy too: a change at one place must not change the other."""
    if isinstance(content, dict):
        return {key: unshared(value) for key, value in content.items()}
    return [unshared(value) for value in content] if isinstance(content, list) else content


def apply_change(content: dict, change: str) -> None:
    """Set one entry of a nested dictionary.

    Args:
        content: the file's content, changed in place.
        change: `KEY=VALUE` with the dotted key and a value in YAML.
    """
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise ValueError(f"--set {change} has no value; write KEY=VALUE, for example budget='{{seconds: 600}}'.")
    *parents, last = key.split(".")
    entry = content
    for parent in parents:
        if entry.get(parent) is None:
            entry[parent] = {}
        entry = entry[parent]
        if not isinstance(entry, dict):
            raise ValueError(f"--set {key}: {parent} is {entry!r}, which has no entries.")
    try:
        entry[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(f"--set {change} has a value that is no YAML: {' '.join(str(error).split())}.") from None
