"""The workloads: what is timed, against what, and the ratio that is wanted.

A builder makes both sides of one workload and checks that they do the same work. `theirs` is the authors' code where a
checkout of it was given; where the other side is plain PyTorch or ourselves, it is always there.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks import builders
from benchmarks.builders import Pair
from benchmarks.loop import lightning_loop
from benchmarks.reference import Reference
from benchmarks.settings import FULL, SMALL, Setting
from memtrain.export.session import THREADS


@dataclass(frozen=True)
class Workload:
    """One row of the table.

    Attributes:
        name: as in `--only`.
        target: what the ratio theirs / ours should reach at least.
        comparison: in words, what is compared.
        setting: sizes of the work.
        build: makes both sides from a reference, or None, and a setting.
        options: further options of `build`.
    """

    name: str
    target: float
    comparison: str
    setting: Setting
    build: Callable[..., Pair]
    options: dict[str, Any] = field(default_factory=dict)

    def pair(self, reference: Reference | None) -> Pair:
        """Both sides, ready to be timed."""
        return self.build(self.name, reference, self.setting, **self.options)

    def configuration(self) -> dict[str, Any]:
        """Everything that the work depends on, as primitives."""
        return asdict(self.setting) | self.options


A, B = Setting(SMALL, batch=32), Setting(SMALL, batch=32, timesteps=16)
C, D = Setting(SMALL, batch=8), Setting(SMALL, batch=8)
F = Setting(FULL, batch=8, context=256, future=64)

CAUSAL = (
    "ours: causal encoder, one pass over the whole sequence, all terms with L_init; theirs: bidirectional encoder, one "
    "pass for each of two memories, no L_init"
)
ROLLOUT = (
    "one rollout of 64 steps a sequence from the teacher's memory, 16 labels, every step read out; ours: causal "
    "teacher over the whole past in one pass; theirs: one bidirectional pass a label over the last 128 tokens, and "
    "decoder losses and teacher gradients that nothing uses"
)
PROBES = ("retrieval", "string_copy", "stack", "key_value_recall", "modular_arithmetic")

ONNX_THREADS = THREADS
"""Of ONNX Runtime: as `memtrain stream` and `generate` have them. Each of a few is worth timing on a new machine."""

WORKLOADS = [
    Workload(
        "A_bidirectional",
        1.3,
        "SMT step, the same mathematics on both sides: bidirectional encoder over the last 128 tokens, their three "
        "loss terms (ours without its L_init)",
        A,
        builders.smt,
        {"attention": "bidirectional"},
    ),
    Workload("A_causal", 2.0, f"SMT step; {CAUSAL}", A, builders.smt, {"attention": "causal"}),
    Workload(
        "B",
        6.0,
        "seconds per trained memory transition (t < T-1, L_init not counted): ours 16 timesteps a sequence in one "
        "causal pass, all terms; theirs the one timestep a sequence of A",
        B,
        builders.transitions,
    ),
    Workload(
        "C_detached", 12.0, f"DMT step, detached at every step; {ROLLOUT}", C, builders.dmt, {"gradient": "detached"}
    ),
    Workload(
        "C_through_time",
        6.0,
        f"DMT step, gradients through the whole rollout; {ROLLOUT}",
        C,
        builders.dmt,
        {"gradient": "through_time"},
    ),
    Workload(
        "D", 2.5, "BPTT step, every step read out; ours starts at a learned memory, theirs at zeros", D, builders.bptt
    ),
    Workload("E_1", 6.0, "seconds per generated token, one sequence", Setting(SMALL, batch=1), builders.generation),
    Workload(
        "E_8", 4.0, "seconds per step of generating eight sequences", Setting(SMALL, batch=8), builders.generation
    ),
    Workload(
        "E_1_onnx",
        10.0,
        "seconds per generated token, one sequence; ours exported and run by ONNX Runtime",
        Setting(SMALL, batch=1),
        builders.generation,
        {"onnx_threads": ONNX_THREADS},
    ),
    Workload(
        "E_8_onnx",
        4.0,
        "seconds per step of generating eight sequences; ours exported and run by ONNX Runtime",
        Setting(SMALL, batch=8),
        builders.generation,
        {"onnx_threads": ONNX_THREADS},
    ),
    Workload("F", 1.5, f"SMT step, full model; {CAUSAL}", F, builders.smt, {"attention": "causal"}),
    Workload(
        "G_stack",
        100.0,
        "a batch of the stack probe: ours through its training loader, whole blocks with the hash that keeps splits "
        "apart; theirs StackDataset.sample_batch",
        Setting(SMALL, batch=32),
        builders.stack_data,
    ),
    Workload(
        "H",
        0.77,
        "BPTT step with a linear readout: our gru cell against plain torch.nn.GRU of the same size",
        Setting(SMALL, batch=8),
        builders.gru,
    ),
    *(
        Workload(
            f"I_{probe}",
            10.0,
            "seconds per sample: our loader producing it against the probe's SMT training step consuming it",
            Setting(SMALL, batch=32),
            builders.data_supply,
            {"probe": probe},
        )
        for probe in PROBES
    ),
    Workload(
        "J",
        0.95,
        "seconds per SMT step of A_causal, data included: Lightning's loop (ours) against a bare loop of the same "
        "module (theirs)",
        A,
        lightning_loop,
    ),
]
