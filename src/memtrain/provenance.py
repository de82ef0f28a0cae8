"""Where a result comes from: command, commit, versions and hardware, to stand beside every figure."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("memtrain", "torch", "lightning", "torchmetrics", "jsonargparse", "numpy")


def provenance() -> dict[str, Any]:
    """What this process is, as YAML primitives.

    Returns:
        Entries `command`, `commit` (None outside a git checkout; with `+changes` where files differ from it),
        `versions`, `hardware`.
    """
    import torch

    return {
        "command": shlex.join(["memtrain", *sys.argv[1:]]),
        "commit": commit(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "hardware": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def commit() -> str | None:
    """The commit of the checkout that this package runs from; None where it is installed, though in a checkout."""
    if not git("ls-files", Path(__file__).name):
        return None
    return git("describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changes")


def git(*words: str) -> str | None:
    """What git says in this package's folder; None where it says nothing, or is not there."""
    try:
        said = subprocess.run(
            ["git", *words],
            cwd=Path(__file__).parent,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() or None


def processor() -> str:
    """The processor's name, where the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
