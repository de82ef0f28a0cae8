"""A checkpoint to export, and the README's own cell."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from all_stages import NETWORK
from lightning import Trainer

from memtrain.cli import main
from memtrain.data import TableDataModule
from memtrain.networks.cells import Cell
from memtrain.training import BPTTModule

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


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of a heated house, some cells missing: how warm it is, how windy, what day it is, and how it is heated."""
    file = tmp_path_factory.mktemp("table") / "house.csv"
    random = np.random.default_rng(0)
    warmth = 20 + 3 * np.sin(np.arange(80) / 4)
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=80, freq="h"),
            "warmth": np.where(random.random(80) < 0.1, np.nan, warmth),
            "wind": random.exponential(8, 80).round(2),
            "day": random.choice(["rest", "work", None], 80, p=[0.3, 0.6, 0.1]),
            "heating": random.normal(1000, 50, 80).round(1),
        }
    )
    frame.to_csv(file, index=False)
    return file


@pytest.fixture(scope="session")
def number_checkpoint(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of stage bptt on that table, with something that is known ahead and matters."""
    data = TableDataModule(
        path=str(table), time="time", targets=["warmth", "wind"], known=["day"], actions=["heating"],
        categorical=["day"], window=8, batch_size=4,
    )  # fmt: skip
    file = tmp_path_factory.mktemp("numbers") / "bptt.ckpt"
    module = BPTTModule(network=NETWORK, interface=data.interface())
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_steps=1, accelerator="cpu", enable_model_summary=False, **options)
    trainer.fit(module, datamodule=data)
    with torch.no_grad():
        for parameter in module.rnn.head.foresight.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(0))  # at the start it adds nothing
    trainer.save_checkpoint(file)
    return file


@pytest.fixture(scope="session")
def number_export(number_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its export as safetensors."""
    folder = tmp_path_factory.mktemp("exports") / "numbers"
    assert main(["export", str(number_checkpoint), "--format", "safetensors", "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def send(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> object:
    """Runs `memtrain stream` on standard input: its status, the JSON lines and stderr."""

    def stream(text: str, *words: object) -> tuple[int, list[dict], str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        capsys.readouterr()
        status = main(["stream", *map(str, words)])
        shown = capsys.readouterr()
        return status, [json.loads(line) for line in shown.out.splitlines()], shown.err

    return stream


def readme_cell() -> type[Cell]:
    """`MixerCell` of the README."""
    (code,) = re.findall(r"^```python\n(# mine/cell\.py\n.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    names: dict = {"__name__": "mine.cell"}
    exec(code, names)
    return names["MixerCell"]
