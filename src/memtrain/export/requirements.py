"""What the optional libraries must be, said in one sentence where they are missing or too old."""

import re
from importlib.metadata import PackageNotFoundError, version

REMEDY = "pip install 'memtrain[onnx]'"
ONNXSCRIPT = (0, 7, 2)
"""The first version that exports `torch.nn.GRU` right; older ones write a wrong graph and say nothing."""


def installed_version(package: str, purpose: str) -> str:
    """The version of an optional package.

    Args:
        package: its name.
        purpose: what needs it, as the beginning of a sentence.

    Raises:
        ModuleNotFoundError: if it is not installed.
    """
    try:
        return version(package)
    except PackageNotFoundError:
        raise ModuleNotFoundError(f"{purpose} needs {package}, which is not installed; {REMEDY}.") from None


def require_onnx_export() -> dict[str, str]:
    """The versions of what writes ONNX files.

    Raises:
        ModuleNotFoundError: if one is missing.
        ValueError: if onnxscript is too old to be right.
    """
    versions = {name: installed_version(name, "--format onnx") for name in ("onnx", "onnxscript")}
    found = tuple(int(number) for number in re.findall(r"\d+", versions["onnxscript"])[:3])
    if found < ONNXSCRIPT:
        raise ValueError(
            f"onnxscript is {versions['onnxscript']}, but versions before {'.'.join(map(str, ONNXSCRIPT))} export some "
            f"cells wrongly without a word; {REMEDY} --upgrade."
        )
    return versions
