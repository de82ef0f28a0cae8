"""The largest Lyapunov exponent and Newton's iterations of a cell while it learns a long memory."""

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import matplotlib
import pandas as pd
import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback
from matplotlib.figure import Figure

from memtrain.batch import SequenceBatch
from memtrain.data import Retrieval
from memtrain.measurements.solving import describe, fallbacks_unwarned, mean
from memtrain.networks import RNN, NetworkOptions
from memtrain.networks.cells import GRUCell
from memtrain.style import COLORS, GRAY, STYLE
from memtrain.training import BPTTModule, DMTModule, MemoryModule, SMTModule
from memtrain.training.evaluation import predict_with_memories
from memtrain.trajectory import Newton, Windows

Stage = Literal["smt", "dmt", "bptt"]
MODULES: dict[Stage, type[MemoryModule]] = {"smt": SMTModule, "dmt": DMTModule, "bptt": BPTTModule}
OPTIONS: dict[Stage, dict[str, Any]] = {
    "smt": {"timesteps_per_sequence": 2, "timestep_sampling": "targets"},
    "dmt": {"windows": Windows(starts=4, length=[4, 8, 16, 32]), "schedule": "cosine"},
    "bptt": {},
}
"""Options of each stage beside its defaults, as in experiments/demo."""
READOUTS: dict[Stage, Literal["decoder", "linear"]] = {"smt": "decoder", "dmt": "decoder", "bptt": "linear"}
"""The readout of a method, by its first stage. Under BPTT a GRU learns faster with a linear one; SMT has none."""


class Reader(Callback):
    """Reads the RNN before the first step of a stage, and then at regular steps.

    Args:
        batch: samples on which it is read.
        every: steps from one reading to the next.

    Attributes:
        readings: pairs of the steps done, those of earlier stages included, and what `read` returns.
    """

    def __init__(self, batch: SequenceBatch, every: int) -> None:
        self.batch, self.every = batch, every
        self.readings: list[tuple[int, dict[str, float | None]]] = []

    def on_train_start(self, trainer: Trainer, module: MemoryModule) -> None:  # type: ignore[override]
        """Read the networks of the stage before."""
        self._read(module)

    def on_train_batch_end(self, trainer: Trainer, module: MemoryModule, *_: Any) -> None:  # type: ignore[override]
        """Read the networks at every so many steps."""
        if trainer.global_step % self.every == 0:
            self._read(module)

    def _read(self, module: MemoryModule) -> None:
        assert module.rnn is not None
        self.readings.append((module.counters.steps, read(module.rnn, self.batch)))


def exponent_along_training(
    methods: dict[str, list[Stage]],
    steps: int,
    length: int,
    seeds: list[int],
    symbols: int = 8,
    width: int = 32,
    memory_tokens: int = 1,
    learning_rate: float = 3e-3,
    batch_size: int = 32,
    readings: int = 20,
) -> tuple[list[dict[str, Any]], Figure]:
    """Train GRUs on retrieval, on one thread, and read them all along.

    Not ParaGRUs: their units never see one another, so a single layer cannot store the token after a marker, however
    it is trained.

    Args:
        methods: the stages of each method, which follow one another.
        steps: optimizer steps of each method, shared equally by its stages.
        length: timesteps of a sequence; the RNN must remember the needle for more than half of them.
        seeds: seeds of networks and data.
        symbols: symbols of retrieval; chance is one divided by their number.
        width: features of a token, D.
        memory_tokens: tokens of a memory, K.
        learning_rate: of all stages.
        batch_size: sequences of a step.
        readings: readings of each method.

    Returns:
        A row for each method, seed and reading, see `read`.
    """
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for (method, stages), seed in itertools.product(methods.items(), seeds):
        data = Retrieval(length, symbols, batch_size=batch_size, evaluation_samples=64, seed=seed)
        batch = data.dataset("val").__getitems__(range(64))
        network = NetworkOptions(
            width=width,
            memory_tokens=memory_tokens,
            short_convolution=2,
            memory_normalization="tanh",
            readout=READOUTS[stages[0]],
            cell=GRUCell,
        )
        seed_everything(seed, verbose=False)
        with TemporaryDirectory() as folder:
            source = None
            for stage in stages:
                options = OPTIONS[stage] | {"learning_rate": learning_rate, "seed": seed, "init_from": source}
                options |= {"network": network} if source is None else {}
                module = MODULES[stage](interface=data.interface(), **options)
                reader = Reader(batch, max(1, steps // readings))
                source = train(module, data, steps // len(stages), reader, Path(folder) / f"{stage}.ckpt")
                for done, found in reader.readings:
                    rows.append({"method": method, "stage": stage, "seed": seed, "step": done} | found)
    return rows, draw(pd.DataFrame(rows))


def train(module: MemoryModule, data: Retrieval, steps: int, reader: Reader, checkpoint: Path) -> str:
    """Train a stage, and save it for the one after it."""
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=steps,
        limit_val_batches=0,
        callbacks=[reader],
        default_root_dir=checkpoint.parent,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data)
    trainer.save_checkpoint(checkpoint)
    return str(checkpoint)


@torch.no_grad()
def read(rnn: RNN, batch: SequenceBatch) -> dict[str, float | None]:
    """How well an RNN does alone, and how hard its own rollout is to solve in parallel.

    Args:
        rnn: the RNN.
        batch: `[B, T]` inputs and targets.

    Returns:
        `accuracy` of the rollout in [0, 1]; `exponent`, the largest Lyapunov exponent (nats a step, mean over samples);
        what `describe` says of Newton's method, from the better of zeros and `f(0, x_t)`.
    """
    size, length = batch.inputs.shape
    with fallbacks_unwarned():
        solved = Newton(exponent=True).solve(
            rnn.cell, rnn.initial_memory(size), rnn.embed(batch.inputs), torch.arange(length)
        )
    assert solved.exponent is not None
    accuracy = mean(predict_with_memories(None, rnn, batch).per_sample("rollout")["accuracy"])
    return {"accuracy": accuracy, "exponent": mean(solved.exponent)} | describe(solved)


def draw(rows: pd.DataFrame) -> Figure:
    """Accuracy, exponent and iterations against steps: a line for each method and seed."""
    colors = dict(zip(rows["method"].unique(), COLORS, strict=False))
    labels = {
        "accuracy": "accuracy of the rollout",
        "exponent": "largest Lyapunov exponent (nats a step)",
        "iterations": "Newton's iterations, cold guess",
    }
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12.6, 3.8), layout="constrained")
        for axes, (column, label) in zip(figure.subplots(1, 3), labels.items(), strict=True):
            for (method, seed), own in rows.groupby(["method", "seed"], sort=False):
                first = seed == rows["seed"].iloc[0]
                axes.plot(own["step"], own[column].astype(float), color=colors[method], label=method if first else None)
                handed = own.loc[own["stage"] != own["stage"].shift(), "step"].iloc[1:]
                for step in handed if first else ():
                    axes.axvline(step, color=colors[method], linestyle=":", linewidth=1)
            axes.set(xlabel="optimizer steps, all stages (dotted: the next one begins)", ylabel=label)
        axes.legend()
        figure.axes[0].set_ylim(0, 1.05)
        figure.axes[1].axhline(0, color=GRAY, linewidth=1)
    return figure
