"""Long runs: memory does not grow with the number of steps, nor with the number of tokens streamed."""

import gc
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

from memtrain.fit import MemtrainCLI
from memtrain.networks import RNN, Interface, NetworkOptions
from memtrain.networks.cells import MLPCell

MIB = 2**20


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Resident(Callback):
    """Notes the resident memory at some steps."""

    def __init__(self, steps: set[int]) -> None:
        self.steps, self.bytes = steps, dict[int, int]()

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step in self.steps:
            self.bytes[trainer.global_step] = resident_bytes()


@pytest.mark.slow
def test_memory_is_flat_over_ten_thousand_training_steps(tmp_path: Path) -> None:
    """With all that a run keeps: metrics, TensorBoard, checkpoints, validations."""
    network = {"width": 4, "memory_tokens": 1, "memory_normalization": "tanh", "readout": "linear"}
    resident = Resident({2_000, 10_000})
    trainer = {"max_steps": 10_000, "val_check_interval": 1_000, "log_every_n_steps": 100, "accelerator": "cpu"}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "default_root_dir": str(tmp_path)}
    model = {"network": {**network, "cell": {"class_path": "memtrain.networks.cells.GRUCell"}}}
    data = {"length": 6, "batch_size": 2, "evaluation_samples": 8}
    cli = MemtrainCLI(
        {
            "trainer": trainer | quiet,
            "model": {"class_path": "memtrain.training.BPTTModule", "init_args": model},
            "data": {"class_path": "memtrain.data.Retrieval", "init_args": data},
            "checkpoint_every": 500,
        },
        callbacks=[resident],
    )
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    # A kilobyte kept of each step would be 8 MiB.
    assert resident.bytes[10_000] - resident.bytes[2_000] < 6 * MIB


@pytest.mark.slow
def test_memory_is_flat_over_a_hundred_thousand_streamed_tokens() -> None:
    options = NetworkOptions(width=8, memory_tokens=2, readout="linear", cell=partial(MLPCell, layers=1))
    rnn, memory, resident = RNN(options, Interface.of_tokens(5)).eval(), None, dict[int, int]()
    tokens = torch.randint(0, 5, (100_000, 1))
    for count, token in enumerate(tokens.unbind(), start=1):
        logits, memory = rnn.stream(token, memory)
        if count in (10_000, 100_000):
            resident[count] = resident_bytes()
    assert logits.isfinite().all()
    torch.testing.assert_close(memory.square().mean(-1).sqrt(), torch.ones(1, 2))  # still a normalized memory
    # A hundred bytes kept of each token would be 9 MiB.
    assert resident[100_000] - resident[10_000] < 6 * MIB
