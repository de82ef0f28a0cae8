"""A checkpoint to export, and the README's own cell."""

import re
from pathlib import Path

import pytest

from memtrain.cli import main
from memtrain.networks.cells import Cell

CONF = Path(__file__).parents[1] / "conf"
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of stage bptt on retrieval, as `memtrain fit` leaves it."""
    folder = tmp_path_factory.mktemp("bptt")
    files = [word for name in ("trainer", "bptt", "retrieval") for word in ("--config", str(CONF / f"{name}.yaml"))]
    assert main(["fit", *files, f"--trainer.default_root_dir={folder}"]) == 0
    return folder / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="session")
def weights(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its export as safetensors, which is made and run fastest."""
    folder = tmp_path_factory.mktemp("exports") / "weights"
    assert main(["export", str(checkpoint), "--format", "safetensors", "--output", str(folder)]) == 0
    return folder


def readme_cell() -> type[Cell]:
    """`MixerCell` of the README."""
    (code,) = re.findall(r"^```python\n(# mine/cell\.py\n.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    names: dict = {"__name__": "mine.cell"}
    exec(code, names)
    return names["MixerCell"]
