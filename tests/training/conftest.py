"""Fixtures of the tests of the stages."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback
from tiny import Batches, random_batch

from memtrain.batch import SequenceBatch


@pytest.fixture
def batch() -> SequenceBatch:
    return random_batch()


@pytest.fixture
def make_trainer(tmp_path: Path) -> Callable[..., Trainer]:
    def make(max_steps: int = 3, callbacks: list[Callback] | None = None, **options: Any) -> Trainer:
        return Trainer(
            max_steps=max_steps,
            callbacks=callbacks,
            accelerator="cpu",
            default_root_dir=tmp_path,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **options,
        )

    return make


@pytest.fixture
def train(make_trainer: Callable[..., Trainer], tmp_path: Path) -> Callable[..., Path]:
    """Train a module for a few steps and return the path of its checkpoint."""

    def run(module: LightningModule, name: str, max_steps: int = 3, **options: Any) -> Path:
        seed_everything(0, verbose=False)
        trainer = make_trainer(max_steps, **options)
        trainer.fit(module, datamodule=Batches())
        path = tmp_path / f"{name}.ckpt"
        trainer.save_checkpoint(path)
        return path

    return run
