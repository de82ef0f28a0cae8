"""How many iterations Newton's method needs, against sequence length and largest Lyapunov exponent."""

import copy
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

import matplotlib
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from memtrain.measurements.solving import describe, fallbacks_unwarned, mean
from memtrain.networks.cells import Cell, GRUCell, ParaGRUCell, ParaLSTMCell
from memtrain.networks.memory import normalize_memory
from memtrain.scan import preceding
from memtrain.style import COLORS, GRAY, STYLE
from memtrain.trajectory import Newton, Recurrence, rollout
from memtrain.trajectory.exponent import largest_exponent

CellName = Literal["para_gru", "para_lstm", "gru"]
CELLS: dict[CellName, type[Cell]] = {"para_gru": ParaGRUCell, "para_lstm": ParaLSTMCell, "gru": GRUCell}
RECURRENT = ("recurrent", "peepholes", "weight_hh_l0")
"""Names of the parameters through which a memory acts on the next one."""
T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    """A cell, inputs, and what a warm guess needs.

    Attributes:
        cell: the update f.
        nearby: f before an optimizer step: every weight is a little different.
        memory: the memory to start from, `[B, K, D]`.
        embeddings: embedded inputs, `[B, T, D]`.
    """

    cell: Cell
    nearby: Cell
    memory: Tensor
    embeddings: Tensor


@torch.no_grad()
def newton_iterations(
    cells: dict[CellName, int],
    scales: list[float],
    lengths: list[int],
    seeds: list[int],
    batch: int = 4,
    step: float = 1e-3,
) -> tuple[list[dict[str, Any]], Figure]:
    """Solve rollouts of random cells on random inputs by Newton's method, and sequentially, on one thread.

    Args:
        cells: which cells, and the numbers in a memory of each (its units).
        scales: standard deviations of recurrent weights, divided by the square root of the units for a dense cell.
            Larger ones make a cell more chaotic.
        lengths: sequence lengths T.
        seeds: seeds of weights and inputs.
        batch: samples.
        step: how far an optimizer step has moved each weight, up or down. The warm guess is the trajectory before that
            step; the cold one is the better of zeros and `f(0, x_t)`.

    Returns:
        A row for each cell, scale, seed, length and guess. `exponent` is the largest Lyapunov exponent, nats a step,
        mean over samples. `difference` is the largest one between a number of a solved state and of the sequential
        rollout. CPU seconds of both are of one call, forward only. The other columns are those of `describe`.
    """
    torch.set_num_threads(1)
    rows = []
    for (name, units), scale, seed in itertools.product(cells.items(), scales, seeds):
        problem = draw_problem(name, units, scale, max(lengths), seed, batch, step)
        solve_all(problem, min(lengths))  # the first call of a kernel is slower than all that follow
        for length in sorted(lengths):
            for found in solve_all(problem, length):
                rows.append({"cell": name, "scale": scale, "seed": seed, "length": length} | found)
    return rows, draw(pd.DataFrame(rows))


@torch.no_grad()
def draw_problem(name: CellName, units: int, scale: float, length: int, seed: int, batch: int, step: float) -> Problem:
    """A random cell and random inputs; see `newton_iterations` for the arguments."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        cell = CELLS[name](units, 1, "tanh")
        for parameter_name, parameter in cell.named_parameters():
            if parameter_name.rpartition(".")[2] in RECURRENT:
                parameter.normal_(std=scale * units**-0.5 if name == "gru" else scale)
        nearby = copy.deepcopy(cell)
        for parameter in nearby.parameters():
            parameter.add_(step * torch.randn_like(parameter).sign())
        memory = normalize_memory(torch.randn(batch, 1, units), "tanh")
        return Problem(cell, nearby, memory, torch.randn(batch, length, units))


def solve_all(problem: Problem, length: int) -> list[dict[str, Any]]:
    """The first `length` steps from both guesses, as rows."""
    embeddings = problem.embeddings[:, :length]
    arguments = problem.cell, problem.memory, embeddings
    expected, sequential_cpu_seconds = timed(partial(rollout, *arguments))
    recurrence = Recurrence.of(problem.cell, embeddings)
    _, jacobian = recurrence.linearize(preceding(problem.memory, expected))
    exponent = mean(largest_exponent(jacobian))
    before = rollout(problem.nearby, problem.memory, embeddings)
    rows = []
    for guess, solver, teacher in (("cold", Newton(guess="best"), None), ("warm", Newton(guess="teacher"), before)):
        with fallbacks_unwarned():
            solved, seconds = timed(partial(solver.solve, *arguments, torch.arange(length), teacher))
        rows.append(
            {"guess": guess, "exponent": exponent}
            | describe(solved)
            | {
                "difference": (solved.states - expected).abs().max().item(),
                "newton_cpu_seconds": seconds,
                "sequential_cpu_seconds": sequential_cpu_seconds,
            }
        )
    return rows


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """What a call returns, and its CPU seconds; other programs on the machine hardly change these."""
    start = time.process_time()
    returned = call()
    return returned, time.process_time() - start


def draw(rows: pd.DataFrame) -> Figure:
    """Iterations against length and against exponent, fallback against exponent, and seconds against length."""
    colors = dict(zip(rows["cell"].unique(), COLORS, strict=False))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 7.2), layout="constrained")
        by_length, by_exponent, fallback, cost = figure.subplots(2, 2).flat
        draw_lengths(by_length, rows, colors)
        for (cell, guess), own in rows.groupby(["cell", "guess"], sort=False):
            marker: dict[str, Any] = {"color": colors[cell], "markersize": 4, "linestyle": ""}
            marker |= {"marker": "o"} if guess == "cold" else {"marker": "o", "markerfacecolor": "none"}
            by_exponent.plot(own["exponent"], own["iterations"].astype(float), **marker)
            fallback.plot(own["exponent"], own["windows"] + own["sequential"], **marker)
            ratio = (own["newton_cpu_seconds"] / own["sequential_cpu_seconds"]).groupby(own["length"]).median()
            cost.plot(ratio.index, ratio, "-" if guess == "cold" else "--", color=colors[cell])
        cost.axhline(1, color=GRAY, linewidth=1)
        cost.set(xscale="log", yscale="log", xlabel="length T", ylabel="Newton's CPU seconds / sequential ones")
        cost.set_title("cost: median of all scales and seeds", loc="left")
        for axes in (by_length, cost):
            axes.set_xticks(rows["length"].unique(), rows["length"].unique())
            axes.minorticks_off()
        for axes, label in ((by_exponent, "iterations"), (fallback, "share of samples that fell back")):
            axes.axvline(0, color=GRAY, linewidth=1)
            axes.set(xlabel="largest Lyapunov exponent (nats a step)", ylabel=label)
        by_exponent.set_title("all lengths, samples solved at once", loc="left")
        handles = [Line2D([], [], color=color, marker="o", label=cell) for cell, color in colors.items()]
        handles += [
            Line2D([], [], color=GRAY, marker="o", label="cold guess"),
            Line2D([], [], color=GRAY, marker="o", linestyle="--", markerfacecolor="none", label="warm guess"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def draw_lengths(axes: Axes, rows: pd.DataFrame, colors: dict[Any, str]) -> None:
    """A line for each cell, scale and guess: the mean over seeds; wider for larger scales."""
    widths = {scale: 0.6 + 0.6 * rank for rank, scale in enumerate(sorted(rows["scale"].unique()))}
    for (cell, scale, guess), own in rows.groupby(["cell", "scale", "guess"], sort=False):
        iterations = own["iterations"].astype(float).groupby(own["length"]).mean()
        style = "-" if guess == "cold" else "--"
        axes.plot(iterations.index, iterations, style, color=colors[cell], linewidth=widths[scale])
    axes.set(xscale="log", xlabel="length T", ylabel="iterations")
    axes.set_title("the wider a line, the larger the recurrent weights", loc="left")
