"""Private knowledge of libraries stands in memtrain.private alone, and is true of the versions installed here."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentError
from lightning.pytorch import Trainer

from memtrain.checkpoints import load_checkpoint
from memtrain.cli import main
from memtrain.parsing import SentenceParser
from memtrain.private import HPC_CHECKPOINTS, added_by_lightning, is_out_of_memory

SOURCE = Path(__file__).parents[1] / "src" / "memtrain"
CONF = Path(__file__).parent / "conf"
PUBLIC = "_exit"
"""Of `os`: documented, whatever its name looks like."""


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: str(file.relative_to(SOURCE)))
def test_no_private_attribute_is_touched_but_ones_own(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    own = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))} | {PUBLIC}
    own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    private = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__")
    ]
    imported = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in (*node.names, ast.alias(node.module or ""))
        if any(part.startswith("_") for part in alias.name.split("."))
    ]
    assert [name for name in private if name not in own] == []
    assert imported == []


def test_lightning_names_its_checkpoint_of_a_time_limit_so(tmp_path: Path) -> None:
    trainer = Trainer(default_root_dir=tmp_path, logger=False, enable_progress_bar=False)
    Path(trainer._checkpoint_connector.hpc_save_path(str(tmp_path))).touch()
    assert [file.name for file in tmp_path.glob(HPC_CHECKPOINTS)] == ["hpc_ckpt_1.ckpt"]
    assert trainer._checkpoint_connector._hpc_resume_path == str(tmp_path / "hpc_ckpt_1.ckpt")


def test_lightning_adds_these_entries_to_the_options_of_a_checkpoint(tmp_path: Path) -> None:
    names = ("trainer", "bptt", "retrieval")
    words = [word for name in names for word in ("--config", str(CONF / f"{name}.yaml"))]
    assert main(["fit", *words, f"--trainer.default_root_dir={tmp_path}", "--trainer.max_steps=1"]) == 0
    checkpoint = load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    for part in ("hyper_parameters", "datamodule_hyper_parameters"):
        assert {name for name in checkpoint[part] if added_by_lightning(name)} <= {"_class_path", "_instantiator"}
        assert "_class_path" in checkpoint[part]


def test_a_lack_of_memory_is_told_apart_from_other_failures() -> None:
    for ask in (lambda: torch.empty(1 << 60, dtype=torch.uint8), lambda: np.empty(1 << 60, np.uint8)):
        with pytest.raises((RuntimeError, MemoryError)) as short:
            ask()
        assert is_out_of_memory(short.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(RuntimeError) as other:
        torch.ones(2) @ torch.ones(3)
    assert not is_out_of_memory(other.value)


def test_jsonargparse_names_the_option_in_a_preface() -> None:
    parser = SentenceParser()
    parser.add_argument("--model.rate", type=float)
    with pytest.raises(ArgumentError) as refused:
        parser.parse_args(["--model.rate=fast"])
    assert str(refused.value) == "model.rate: Expected a <class 'float'>. Got value: fast"
