"""The model card: what an exported network is, where it comes from, what it can do and how to load it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from memtrain.export.channel_card import channel_tables
from memtrain.export.markdown import table
from memtrain.export.record import Reading

METHODS = {
    "teacher": "the teacher (encoder and decoder)",
    "smt": "Supervised Memory Training: single steps of the RNN toward the teacher's memories",
    "dmt": "DAgger Memory Training: the RNN on its own memories beside the teacher's",
    "bptt": "back-propagation through time",
}


def model_card(description: Mapping[str, Any], readings: Sequence[Reading], loading: str) -> str:
    """A model card in Markdown, with the front matter that model hubs read.

    Args:
        description: of the export.
        readings: what is known of its results.
        loading: Python that runs it.
    """
    sections = [
        "---\nlibrary_name: memtrain\ntags: [recurrent-neural-network]\n---\n\n# An RNN trained by memtrain\n",
        summary(description),
        f"## Run it\n\n```python\n{loading}\n```\n\n"
        "In the folder of this file; or `memtrain stream FOLDER`, which writes predictions as JSON lines.\n",
        f"## Inputs and outputs\n\n{port_table(description)}\n{vocabulary_line(description)}",
        f"## How it was trained\n\n{stage_table(description)}\n{costs(description)}",
        f"## Data\n\n{data(description)}{channel_tables(description)}",
        f"## Results\n\n{results(readings)}",
    ]
    return "\n".join(sections)


def summary(description: Mapping[str, Any]) -> str:
    """What it is."""
    cell, network = description["network"]["cell"]["class_path"].rpartition(".")[2], description["network"]
    return (
        f"One timestep of a recurrent network with a memory of fixed size: {network['memory_tokens']} tokens of "
        f"{network['width']} numbers, updated by a {cell}; {description['parameters']:,} parameters. An input and the "
        "memory before it give the parameters of the prediction and the memory after it.\n"
    )


def port_table(description: Mapping[str, Any]) -> str:
    """What goes in and what comes out."""
    return table(
        ("", "name", "type", "shape"),
        [
            (side.removesuffix("s"), port["name"], port["type"], str(port["shape"]).replace("'", ""))
            for side in ("inputs", "outputs")
            for port in description[side]
        ],
    )


def vocabulary_line(description: Mapping[str, Any]) -> str:
    """Where to look up the rest."""
    kinds = {end: description["interface"]["init_args"][end] for end in ("inputs", "outputs")}
    said = ", ".join(f"{end} are {as_code(kind)}" for end, kind in kinds.items())
    return (
        f"`batch` is free. The memory before the first input is in `{description['initial_memory']['file']}`. "
        f"The {said}. `description.json` says the same to programs, with the vocabulary where there is one.\n"
    )


def as_code(kind: Mapping[str, Any]) -> str:
    """A class with its options, but lists."""
    name, options = kind["class_path"].rpartition(".")[2], kind["init_args"]
    short = [f"{key}={value!r}" for key, value in options.items() if not isinstance(value, list | dict)]
    return f"`{name}({', '.join(short)})`"


def stage_table(description: Mapping[str, Any]) -> str:
    """The stages, one after the other."""
    return table(
        ("stage", "optimizer steps", "SHA-256 of its checkpoint", "method"),
        [
            (entry["stage"], str(entry["step"]), f"`{entry['sha256'][:16]}`", METHODS.get(entry["stage"], "its own"))
            for entry in description["stages"]
        ],
    )


def costs(description: Mapping[str, Any]) -> str:
    """What all stages together have cost."""
    spent, file = description["costs"], description["file"]
    facts = [f"{name.replace('_', ' ')} {file[name]}" for name in ("opset", "largest_batch") if name in file]
    facts += [f"{name} {found}" for name, found in file["versions"].items()]
    return (
        f"All stages together: {spent['steps']:,} optimizer steps, {spent['tokens']:,} inputs, "
        f"{spent['train_seconds']:,.1f} seconds of training; the longest gradient chain of the cell: "
        f"{spent['gradient_steps']:,}. Exported by memtrain {description['memtrain']} as "
        f"{description['format']} ({', '.join(facts)}).\n"
    )


def data(description: Mapping[str, Any]) -> str:
    """Class and options of the data."""
    recorded = description["data"]
    if recorded is None:
        return "The checkpoint does not record them.\n"
    options = json.dumps(recorded["init_args"], indent=2, ensure_ascii=False)
    return f"`{recorded['class_path']}` with\n\n```json\n{options}\n```\n"


def results(readings: Sequence[Reading]) -> str:
    """What was read of it."""
    if not readings:
        return "None were found beside the checkpoint that belong to it.\n"
    return table(
        ("split", "difficulty", "metric", "value"),
        [(r.split, r.difficulty, r.name, f"{r.value:.4g}") for r in readings],
    )
