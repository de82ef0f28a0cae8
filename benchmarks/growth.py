"""Growth with length: what training costs a token, in how much memory, and that streaming costs the same for ever.

Each training point is measured in a process of its own (`python -m benchmarks.growth METHOD LENGTH`), because the peak
memory of a process never falls.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.ours import OPTIMIZER, our_step, outcome_of, silence_lightning
from benchmarks.parity import random_batch
from benchmarks.settings import Setting, Size
from benchmarks.timing import THREADS
from memtrain.networks import RNN
from memtrain.training import BPTTModule, DMTModule, MemoryModule, SMTModule
from memtrain.trajectory import Detached, Windows

LENGTHS = (64, 128, 256, 512, 1024, 2048)
EXPERIMENT = Size(
    width=64,
    memory_tokens=4,
    encoder_layers=2,
    decoder_layers=1,
    cell_layers=2,
    heads=4,
    vocabulary=16,
    head_dimension=16,
)
"""The size of the networks in `experiments/`."""
BATCH = 4
METHODS: dict[str, Callable[..., MemoryModule]] = {
    "smt": lambda **options: SMTModule(timesteps_per_sequence=16, future_length=32, **options),
    "dmt": lambda **options: DMTModule(trajectory=Detached(), windows=Windows(label_stride=4), **options),
    "bptt": lambda **options: BPTTModule(**options),
}
"""SMT at 16 timesteps of the whole sequence; DMT detached, on a rollout over the whole sequence, every 4th step
labeled; BPTT through the whole sequence."""
STREAMING_TOLERANCE = 0.05
"""Largest relative difference of the time for a token, late in a stream and early in it."""
STEP_SECONDS = 2.0
"""A training point is the median of as many steps as fit in this time, at least 3."""


def measure(method: str, length: int) -> dict[str, Any]:
    """One training point, in this process.

    Args:
        method: smt, dmt or bptt.
        length: T.
    """
    silence_lightning()
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    setting = Setting(EXPERIMENT, batch=BATCH)
    batch = random_batch(setting, length)
    module = METHODS[method](interface=EXPERIMENT.interface, network=EXPERIMENT.network(), **OPTIMIZER)
    step = our_step(module, batch)
    before = resident_megabytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    step()
    seconds: list[float] = []
    while len(seconds) < 3 or sum(seconds) < STEP_SECONDS:
        begin = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begin)
    peak = resident_megabytes("VmHWM") - before
    return {
        "method": method,
        "length": length,
        "microseconds_per_token": 1e6 * statistics.median(seconds) / (BATCH * length),
        "sequential_flops": outcome_of(module, batch).sequential_flops,
        "peak_megabytes": peak,
    }


def resident_megabytes(entry: str) -> float:
    """Memory of this process: `VmRSS` is what it holds, `VmHWM` the most that it has held (Linux).

    Not `ru_maxrss`, which a process inherits from the one that has started it.
    """
    status = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in status if line.startswith(entry)).split()[1]) / 1024


def measure_apart(method: str, length: int) -> dict[str, Any]:
    """One training point, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.growth", method, str(length)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[1])
    return json.loads(done.stdout.splitlines()[-1])


@torch.no_grad()
def streaming(young: int = 1_000, old: int = 100_000, tokens: int = 200) -> dict[str, Any]:
    """Seconds a token of one endless stream, early and late in it.

    The states after `young` and `old` tokens are kept, and both streams go on in turns, one token each, so that
    whatever else the machine does falls on both.

    Args:
        young: tokens before the first measurement.
        old: tokens before the second.
        tokens: timed tokens of each.

    Returns:
        The medians `young_seconds` and `old_seconds`, their `ratio` old / young, and whether it is
        within the tolerance (`met`).
    """
    torch.manual_seed(0)
    rnn = RNN(EXPERIMENT.network(), EXPERIMENT.interface).eval()
    inputs = torch.randint(EXPERIMENT.vocabulary, (old + tokens, 1))
    memory, kept = None, {}
    for position in range(old):
        _, memory = rnn.stream(inputs[position], memory)
        if position + 1 in (young, old):
            kept[position + 1] = memory
    seconds: dict[int, list[float]] = {young: [], old: []}
    for offset in range(tokens):
        for age, times in seconds.items():
            begin = time.perf_counter()
            _, kept[age] = rnn.stream(inputs[age + offset], kept[age])
            times.append(time.perf_counter() - begin)
    early, late = (statistics.median(seconds[age]) for age in (young, old))
    return {
        "young_tokens": young,
        "old_tokens": old,
        "young_seconds": early,
        "old_seconds": late,
        "ratio": late / early,
        "met": abs(late / early - 1.0) <= STREAMING_TOLERANCE,
    }


def draw(points: Sequence[dict[str, Any]], path: Path) -> None:
    """The figure: cost of a token, sequential FLOPs and peak memory against length.

    Args:
        points: of `measure`.
        path: the PNG file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    panels = {
        "microseconds_per_token": "training time a token (µs)",
        "sequential_flops": "sequential FLOPs of a step",
        "peak_megabytes": "peak memory of a step (MB)",
    }
    for axes, (key, label) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for method in dict.fromkeys(point["method"] for point in points):
            own = [point for point in points if point["method"] == method]
            axes.plot(
                [point["length"] for point in own], [point[key] for point in own], marker="o", label=method.upper()
            )
        axes.set(xscale="log", yscale="log", xlabel="sequence length", ylabel=label)
        lengths = sorted({point["length"] for point in points})
        axes.set_xticks(lengths, [str(length) for length in lengths], minor=False)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
