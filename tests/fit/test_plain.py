"""A run's checkpoints can be read again, and its modules copied: what is not plain is named before work is lost."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback

from memtrain.cli import main
from memtrain.fit import MemtrainCLI
from memtrain.fit.plain import require_plain
from memtrain.training import StageModule

CONF = Path(__file__).parents[1] / "conf"


class BestSoFar(Callback):
    """Remembers the best validation loss with numpy, as many home-made callbacks do."""

    def __init__(self) -> None:
        self.history: list[np.float64] = []

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self.history.append(np.float64(trainer.callback_metrics["val/rollout/loss"].item()))

    def state_dict(self) -> dict[str, Any]:
        return {"best": np.min(self.history) if self.history else np.inf}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.history = [state["best"]]


def words(folder: Path, *more: str) -> list[str]:
    """`memtrain fit` of four steps, with a validation every second."""
    files = [word for name in ("trainer", "bptt", "retrieval") for word in ("--config", str(CONF / f"{name}.yaml"))]
    return ["fit", *files, f"--trainer.default_root_dir={folder}", *more]


@pytest.mark.parametrize(("tried", "steps"), [(1, 0), (0, 2)])
def test_a_callback_whose_state_could_never_be_read_is_named_before_training_or_at_its_first_checkpoint(
    tried: int, steps: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The validation that is tried out tells before the first step; without one, the first that follows a step."""
    callback = f"--trainer.callbacks=[{{class_path: {__name__}.BestSoFar}}]"
    assert main(words(tmp_path, callback, f"--trainer.num_sanity_val_steps={tried}")) == 1
    said = capsys.readouterr().err
    assert "the state of callback BestSoFar holds numpy.float64 under key best" in said
    assert "for example with .item()" in said
    table = tmp_path / "metrics.csv"
    trained = table.read_text(encoding="utf-8").splitlines() if table.is_file() else ["step"]
    assert len(trained) - 1 == steps
    assert list((tmp_path / "checkpoints").glob("*")) == []


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ({"callbacks": {"Own": {"seen": [1, {"at": Path("x")}]}}}, r"callback Own holds pathlib.* under key seen.1.at"),
        ({"extra": np.arange(3)}, "the checkpoint holds numpy.ndarray under extra"),
        ({"extra": {np.int64(3): 1}}, "the checkpoint holds numpy.int64 under extra.3"),
        ({"extra": (1, lambda: 0)}, "the checkpoint holds function under extra.1"),
    ],
)
def test_the_part_that_is_not_plain_is_named(content: dict[str, Any], where: str) -> None:
    with pytest.raises(ValueError, match=where):
        require_plain(content)


def test_tensors_and_plain_values_are_plain() -> None:
    values = {"a": torch.ones(2), "b": [1, 2.5, "c", None, True, (torch.nn.Parameter(torch.ones(1)),)], "d": {3: {4}}}
    require_plain(values | {"state": torch.nn.Linear(2, 2).state_dict(), "kind": torch.float32})


@pytest.mark.parametrize("cell", ["GRUCell", "TransformerCell", "MLPCell"])
def test_a_module_that_trains_can_be_copied_and_pickled(cell: str, tmp_path: Path) -> None:
    """Though its cell was given in YAML."""
    copies: list[StageModule] = []

    class Copy(Callback):
        def on_train_start(self, trainer: Any, module: StageModule) -> None:
            copies.append(copy.deepcopy(module))
            assert len(pickle.dumps(module)) > 0

    chosen = [f"--model.network.cell=memtrain.networks.cells.{cell}", "--model.network.memory_normalization=tanh"]

    class Copying(MemtrainCLI):
        def __init__(self, args: list[str]) -> None:
            super().__init__(args, callbacks=[Copy()])

    cli = Copying(words(tmp_path, "--trainer.max_steps=1", *chosen))
    (copied,) = copies
    assert type(copied.network.cell(8, 2, "tanh")).__name__ == cell
    assert copied.network.to_primitive() == cli.model.network.to_primitive()
