"""A change of structure changes no result: losses and metrics of all stages, in float64, equal those recorded.

`sameness.json` was recorded before the core was rebuilt. A commit that is to change results records it again with
`python tests/training/test_sameness.py` and says so.
"""

import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.loggers import Logger

from memtrain.data import Retrieval, SequenceDataModule, StringCopy
from memtrain.networks import NetworkOptions
from memtrain.networks.cells import GRUCell, LSTMCell, ParaGRUCell, ParaLSTMCell, TransformerCell
from memtrain.training import BPTTModule, DMTModule, MemoryModule, SMTModule, TeacherModule
from memtrain.trajectory import Detached, Newton, Picard, Sequential, Windows

RECORD = Path(__file__).with_name("sameness.json")
STEPS = 20
TOLERANCE, TOLERANCE_ELSEWHERE = 1e-12, 1e-6
"""Relative, or absolute where a number is below 1: the order of a sum may change, nothing else. The second holds with
another torch or processor than the recorded ones, whose kernels round differently."""
MACHINE = {"torch": torch.__version__, "processor": torch.backends.cpu.get_cpu_capability()}

SIZES: dict[str, Any] = {"width": 8, "memory_tokens": 2, "heads": 2, "head_dimension": 4, "short_convolution": 2}
CELLS: dict[str, NetworkOptions] = {
    "transformer": NetworkOptions(**SIZES, cell=partial(TransformerCell, layers=2, heads=2, head_dimension=4)),
    "gru": NetworkOptions(**SIZES, memory_normalization="tanh", cell=GRUCell),
    "lstm": NetworkOptions(**SIZES, memory_normalization="tanh", cell=LSTMCell),
    "para_gru": NetworkOptions(**SIZES, memory_normalization="tanh", cell=ParaGRUCell),
    "para_lstm": NetworkOptions(**SIZES, memory_normalization="tanh", cell=ParaLSTMCell),
}
COMMON: dict[str, Any] = {"learning_rate": 3e-3, "warmup_steps": 5}
SMT: dict[str, Any] = {"timesteps_per_sequence": 3, "timestep_sampling": "targets"}
WHOLE: dict[str, Any] = {"windows": Windows()}
GROWING: dict[str, Any] = {"windows": Windows(starts=3, length=[2, 4])}
EXACT = Newton(tolerance=1e-12)
EVERY = ("transformer", "gru", "lstm", "para_gru", "para_lstm")

ALONE: dict[str, tuple[tuple[str, ...], type[MemoryModule], dict[str, Any]]] = {
    "teacher": (("transformer", "gru"), TeacherModule, SMT),
    "smt": (EVERY, SMTModule, SMT),
    "smt uniform, short future": (("transformer", "gru"), SMTModule, {"timesteps_per_sequence": 4, "future_length": 2}),
    "smt in micro-batches": (("gru",), SMTModule, SMT | {"micro_batches": 2}),
    "smt detached, over memories": (("gru",), SMTModule, SMT | {"detach": "both", "uniformity_over": "memories"}),
    "bptt": (EVERY, BPTTModule, {"schedule": "cosine"}),
    "bptt autograd": (("gru", "para_gru"), BPTTModule, {"trajectory": Sequential(adjoint="autograd")}),
    "bptt scan": (("gru",), BPTTModule, {"trajectory": Sequential(adjoint="scan")}),
    "bptt truncated": (("transformer", "gru"), BPTTModule, {"trajectory": Sequential(truncation=5)}),
    "bptt newton": (("gru", "para_gru", "para_lstm"), BPTTModule, {"trajectory": EXACT}),
    "bptt in micro-batches": (("gru",), BPTTModule, {"micro_batches": 4, "windows": Windows(label_stride=2)}),
}
"""What starts from nothing: its cells, module and options."""

AFTER_SMT: dict[str, tuple[tuple[str, ...], type[MemoryModule], dict[str, Any]]] = {
    "smt frozen": (("transformer", "gru"), SMTModule, SMT | {"freeze_teacher": True}),
    "dmt": (EVERY, DMTModule, WHOLE | {"schedule": "cosine"}),
    "dmt windows": (EVERY, DMTModule, GROWING),
    "dmt windows, every second step": (
        ("gru",),
        DMTModule,
        {"windows": Windows(starts=3, length=[2, 4], label_stride=2), "micro_batches": 2},
    ),
    "dmt detached": (EVERY, DMTModule, WHOLE | {"trajectory": Detached()}),
    "dmt detached windows": (("transformer", "gru"), DMTModule, GROWING | {"trajectory": Detached()}),
    "dmt picard 0": (("transformer", "gru"), DMTModule, WHOLE | {"trajectory": Detached(Picard(sweeps=0))}),
    "dmt picard 3": (("transformer", "gru"), DMTModule, WHOLE | {"trajectory": Detached(Picard(sweeps=3))}),
    "dmt picard through time": (("transformer",), DMTModule, WHOLE | {"trajectory": Picard(sweeps=3)}),
    "dmt newton": (("gru", "para_gru"), DMTModule, WHOLE | {"trajectory": EXACT}),
    "dmt newton detached": (("gru",), DMTModule, WHOLE | {"trajectory": Detached(EXACT)}),
    "dmt newton forced": (
        ("para_gru",),
        DMTModule,
        WHOLE | {"trajectory": Newton(tolerance=1e-12, teacher_forcing=[1.0, 0.0])},
    ),
    "bptt finetuning": (EVERY, BPTTModule, {}),
    "bptt from the teacher's memories": (("gru",), BPTTModule, GROWING),
}
"""What starts from the checkpoint of `smt` with the same cell."""

CASES = [(name, cell) for name, (cells, *_) in {**ALONE, **AFTER_SMT}.items() for cell in cells]


class Lines(Logger):
    """Keeps what is logged."""

    name, version = "lines", 0

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[dict[str, float]] = []

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Not wanted."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep them."""
        self.steps.append(dict(metrics))


def data_of(name: str) -> SequenceDataModule:
    """A lone late target for teachers and SMT's successors, dense targets for BPTT."""
    options: dict[str, Any] = {"batch_size": 8, "evaluation_samples": 24, "evaluation_batch_size": 16, "seed": 7}
    return StringCopy(length=12, **options) if "bptt" in name else Retrieval(length=12, symbols=4, **options)


def train(name: str, cell: str, folder: Path) -> dict[str, Any]:
    """The numbers of one case: every logged step, the last evaluation and the costs."""
    source = None
    if name in AFTER_SMT:
        source = folder / f"source {cell} {'bptt' in name}.ckpt"
        if not source.is_file():
            fit(SMTModule, SMT, cell, data_of(name)).save_checkpoint(source)
    _, module, options = {**ALONE, **AFTER_SMT}[name]
    trainer = fit(module, options, cell, data_of(name), source)
    (metrics,) = trainer.validate(trainer.lightning_module, trainer.datamodule, verbose=False)  # type: ignore[attr-defined]
    counters = trainer.lightning_module.counters.to_primitive()
    costs = {key: value for key, value in counters.items() if not key.endswith("seconds")}
    steps = [step for step in trainer.loggers[0].steps if "train/loss" in step]
    assert len(steps) == STEPS
    return {"steps": [{key: step[key] for key in step if key != "epoch"} for step in steps]} | {
        "evaluation": metrics,
        "costs": costs,
    }


def fit(
    module: type[MemoryModule],
    options: dict[str, Any],
    cell: str,
    data: SequenceDataModule,
    source: Path | None = None,
) -> Trainer:
    """Train a stage for `STEPS` steps."""
    seed_everything(3, verbose=False)
    start = {"init_from": str(source)} if source else {}
    stage = module(interface=data.interface(), network=CELLS[cell], seed=3, **{**COMMON, **options}, **start)
    trainer = Trainer(
        max_steps=STEPS,
        precision="64-true",
        accelerator="cpu",
        devices=1,
        logger=Lines(),
        log_every_n_steps=1,
        limit_val_batches=2,
        val_check_interval=STEPS,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(stage, datamodule=data)
    return trainer


def differing(found: Any, recorded: Any, tolerance: float, place: str = "") -> list[str]:
    """The places at which two nests of numbers differ."""
    if isinstance(recorded, dict):
        if found.keys() != recorded.keys():
            return [f"{place}: {sorted(found)} instead of {sorted(recorded)}"]
        return [line for key in recorded for line in differing(found[key], recorded[key], tolerance, f"{place}/{key}")]
    if isinstance(recorded, list):
        pairs = enumerate(zip(found, recorded, strict=True))
        return [line for i, (one, other) in pairs for line in differing(one, other, tolerance, f"{place}/{i}")]
    same = math.isclose(found, recorded, rel_tol=tolerance, abs_tol=tolerance)
    return [] if same else [f"{place}: {found!r} instead of {recorded!r}"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of SMT, trained once for all cases that start from them."""
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("name", "cell"), CASES, ids=[f"{name}, {cell}" for name, cell in CASES])
def test_losses_metrics_and_costs_are_those_recorded_before_the_core_was_rebuilt(name, cell, sources):
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    tolerance = TOLERANCE if record["machine"] == MACHINE else TOLERANCE_ELSEWHERE
    assert differing(train(name, cell, sources), record[f"{name}, {cell}"], tolerance) == []


if __name__ == "__main__":
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        record = {"machine": MACHINE} | {f"{name}, {cell}": train(name, cell, Path(folder)) for name, cell in CASES}
    RECORD.write_text(json.dumps(record, separators=(",", ":")) + "\n", encoding="utf-8")
