"""Experiments that are not a comparison of methods: a function from options to a table and a figure."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError
from matplotlib.figure import Figure

from memtrain.files import write_figure, write_json, write_table
from memtrain.parsing import SentenceParser, sentence
from memtrain.provenance import provenance

Measurement = tuple[list[dict[str, Any]], Figure]
"""What a measuring function returns: rows with the same keys, and a figure of them."""


def measure(measurement: Mapping[str, Any], directory: Path) -> None:
    """Call the function and write `results.csv`, `figure.png` and, with where they come from, `provenance.json`.

    Args:
        measurement: `class_path` of a function that returns a `Measurement`, and `init_args`, its options.
        directory: folder of the results.

    Raises:
        ValueError: where there is no such function, or an option is unknown or of another type.
    """
    function, options = prepare(measurement)
    origin = provenance()  # of the code as it is now: the checkout may move on
    rows, figure = function(**options)
    write_table(directory / "results.csv", rows)
    write_json(directory / "provenance.json", {"measurement": measurement["class_path"], **origin})
    write_measured(figure, directory)


def write_measured(figure: Figure, directory: Path) -> None:
    """Write the figure of a measurement, cropped to what is drawn."""
    write_figure(directory / "figure.png", figure, bbox_inches="tight")


def prepare(measurement: Mapping[str, Any]) -> tuple[Callable[..., Measurement], dict[str, Any]]:
    """The function of a measurement and its checked options."""
    unknown = set(measurement) - {"class_path", "init_args"}
    if unknown or "class_path" not in measurement:
        raise ValueError(f"measurement has entries {sorted(measurement)}, but must have class_path and init_args.")
    module, _, name = measurement["class_path"].rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"measurement.class_path is {measurement['class_path']}: {error}.") from error
    parser = SentenceParser()
    parser.add_function_arguments(function)
    try:
        options = parser.instantiate(parser.parse_object(dict(measurement.get("init_args") or {})))
    except ArgumentError as error:
        raise ValueError(f"measurement.init_args: {sentence(error)}") from error
    return function, options.as_dict()
