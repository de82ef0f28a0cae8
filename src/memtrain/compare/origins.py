"""Where compared runs come from, and whether they come from the same place."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Origins = Mapping[str, list[Any]]


def origins(results: Iterable[Mapping[str, Any]]) -> Origins:
    """The distinct commits, versions and hardware of results.

    Args:
        results: contents of `result.json` files.
    """
    found: dict[str, list[Any]] = {"commit": [], "versions": [], "hardware": []}
    for result in results:
        for name, values in found.items():
            if result["provenance"][name] not in values:
                values.append(result["provenance"][name])
    return found


def differences(found: Origins) -> Iterator[str]:
    """One sentence where runs differ in commit, one where they differ in hardware."""
    if len(found["commit"]) > 1:
        commits = ", ".join(commit or "unknown" for commit in found["commit"])
        yield f"The runs come from {len(found['commit'])} commits: {commits}."
    if len(found["hardware"]) > 1:
        machines = "; ".join(", ".join(f"{k} {v}" for k, v in machine.items()) for machine in found["hardware"])
        yield f"The runs come from {len(found['hardware'])} kinds of hardware, so that seconds differ: {machines}."
