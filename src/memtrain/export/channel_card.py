"""The model card of numbers: which channels go in and come out, in which units, and how they are scaled."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from memtrain.checkpoints import rebuilt
from memtrain.export.markdown import table
from memtrain.export.number_rows import NEXT, header_of
from memtrain.networks import Channels


def channel_tables(description: Mapping[str, Any]) -> str:
    """The channels of inputs and of targets, with roles, units and scales, and how rows are sent.

    Args:
        description: of an export.

    Returns:
        Markdown; nothing where the inputs are no channels.
    """
    ends = description["interface"]["init_args"]
    channels = ends["inputs"]["init_args"].get("channels", [])
    if not channels:
        return ""
    known = [channel["name"] for channel in channels if channel["role"] != "observed"]
    parts = [
        f"A row has these channels:\n\n{channel_table(channels)}",
        "`inputs` has for each value x in its unit (x - center) / scale, of which `asinh` takes the inverse hyperbolic "
        "sine; a category by its code 0, 1, 2 and so on; 0 where it is missing. Then it has for each channel 1, or 0 "
        "where it is missing.\n",
    ]
    if known:
        parts.append(
            f"`ahead` has the same of {', '.join(known)} in the next row, channel by channel: value and flag, or of a "
            "category one flag for each of its values.\n"
        )
    for part, targets in target_channels(ends["outputs"]):
        parts.append(f"Targets{part and f' of {part}'}, scaled as these say, but counts and events as they are:\n\n"
                     f"{channel_table(targets)}")  # fmt: skip
    header = header_of(rebuilt(Channels, ends["inputs"]))
    parts.append(
        f"`memtrain stream` does all of this. It reads lines of CSV, in the channels' units, below the header "
        f"`{header}`{f' (`{NEXT}`: of the next row)' if known else ''}, and writes the mean, median and quantiles of "
        "numbers, in their units, the probabilities of events, and the likeliest classes.\n"
    )
    return "\n" + "\n".join(parts)


def target_channels(outputs: Mapping[str, Any], part: str = "") -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """The channels of targets that are numbers, of each part by its name."""
    options = outputs["init_args"]
    if "channels" in options:
        yield part, options["channels"]
    for name, described in options.get("parts", {}).items():
        yield from target_channels(described, name)


def channel_table(channels: Sequence[Mapping[str, Any]]) -> str:
    """A line for each channel."""
    return table(
        ("channel", "role", "unit", "center", "scale", "asinh", "categories"), [facts(channel) for channel in channels]
    )


def facts(channel: Mapping[str, Any]) -> list[str]:
    """What a channel's line says."""
    categories = ", ".join(channel["labels"]) or str(channel["categories"])
    scale = [f"{channel['center']:.6g}", f"{channel['scale']:.6g}", "yes" if channel["asinh"] else ""]
    kind = ["", "", "", categories] if channel["categories"] else [*scale, ""]
    return [channel["name"], channel["role"], channel["unit"], *kind]
