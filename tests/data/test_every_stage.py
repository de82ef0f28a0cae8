"""All four stages train on data whose targets stand at the end, and what names a class draws nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from memtrain.cli import main

CONF = Path(__file__).parents[1] / "conf"
STAGES = ("teacher", "smt", "dmt", "bptt")
DATA: dict[str, dict[str, Any]] = {
    "RasterDataModule": {"image_size": 4, "levels": 4, "targets": "label", "permute": 0},
    "TimeSeriesClassification": {"time": True},
    "CopyMemory": {"blanks": 3, "remembered": 4},
    "SelectiveCopy": {"blanks": 3, "remembered": 4},
}
REFUSALS = {
    "RasterDataModule": "to name classes, so that it can draw nothing; give",
    "TimeSeriesClassification": "whose sequences are numbers, not tokens",
}


@pytest.fixture(params=DATA)
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with the four stages, one step each, every one started from the one before."""
    options = DATA[request.param] | {"batch_size": 2, "evaluation_samples": 4}
    if request.param == "TimeSeriesClassification":
        options["path"] = str(request.getfixturevalue("motions"))
    data = {"data": {"class_path": f"memtrain.data.{request.param}", "init_args": options}}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(data))
    words = ["--config", str(CONF / "trainer.yaml"), "--config", str(tmp_path / "data.yaml"), "--trainer.max_steps=1"]
    words += ["--trainer.val_check_interval=1", "--checkpoint_every=1"]
    for before, stage in zip((None, *STAGES), STAGES, strict=False):
        more = ["--config", str(CONF / f"{stage}.yaml"), f"--trainer.default_root_dir={tmp_path / stage}"]
        if before is not None:
            more += [f"--model.init_from={tmp_path / before / 'checkpoints' / 'last.ckpt'}", "--model.network=null"]
        assert main(["fit", *words, *more]) == 0
    return tmp_path


def test_every_stage_trains_on_targets_at_the_end_and_what_names_a_class_draws_nothing(
    chain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in STAGES:
        last = torch.load(chain / stage / "checkpoints" / "last.ckpt", weights_only=True)
        assert last["global_step"] == 1
        (logged,) = (chain / stage).rglob("metrics.csv")
        assert "/accuracy" in logged.read_text()
    assert main(["generate", "--checkpoint", str(chain / "bptt" / "checkpoints" / "last.ckpt")]) != 0
    *_, said = capsys.readouterr().err.strip().splitlines()
    data = yaml.safe_load((chain / "data.yaml").read_text())["data"]["class_path"].rpartition(".")[2]
    assert REFUSALS.get(data, "cannot start by itself; give a --prompt") in said
