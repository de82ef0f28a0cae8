"""How strongly the last prediction pulls on distant inputs: through the RNN, and through encoder and decoder."""

import itertools
from typing import Any, Literal

import matplotlib
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from memtrain.batch import SequenceBatch
from memtrain.data import Retrieval
from memtrain.metrics import GradientProfile, rnn_gradient_profile, teacher_gradient_profile
from memtrain.networks import RNN, Interface, NetworkOptions, Teacher
from memtrain.style import COLORS, GRAY, STYLE

Route = Literal["rnn", "teacher"]
LINES: dict[Route, str] = {"rnn": "-", "teacher": "--"}
PANELS = {
    "embedding": r"$\|\partial\,\mathrm{CE}(y_{T-1})\,/\,\partial\,\mathrm{embedding}(x_t)\|$",
    "memory": r"$\|\partial\,\mathrm{CE}(y_{T-1})\,/\,\partial\,m_t\|$",
}


def gradient_profiles(
    networks: dict[str, NetworkOptions], lengths: list[int], seeds: list[int], symbols: int = 8, sequences: int = 8
) -> tuple[list[dict[str, Any]], Figure]:
    """Gradient norms of untrained networks on retrieval, whose only target is the last one, on one thread.

    Args:
        networks: sizes and switches of each RNN and its teacher.
        lengths: timesteps of a sequence, T.
        seeds: of weights.
        symbols: of retrieval.
        sequences: over which norms are averaged; the same for all seeds.

    Returns:
        A row for each network, route (`rnn`: BPTT's, `teacher`: SMT's), seed, length and distance T-1-t. Distances are
        powers of two and, last, that of the first input. `embedding` and `memory` are the `GradientProfile` at t.
    """
    torch.set_num_threads(1)
    rows = []
    for length, (name, options), seed in itertools.product(lengths, networks.items(), seeds):
        data = Retrieval(length, symbols, evaluation_samples=sequences)
        batch = data.dataset("test").__getitems__(range(sequences))
        for route in LINES:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                profile = profile_of(route, options, data.interface(), batch)
            for distance in distances(length):
                t = length - 1 - distance
                rows.append(
                    {"network": name, "route": route, "seed": seed, "length": length, "distance": distance}
                    | {"embedding": profile.embedding[t].item(), "memory": profile.memory[t].item()}
                )
    return rows, draw(pd.DataFrame(rows))


def profile_of(route: Route, options: NetworkOptions, interface: Interface, batch: SequenceBatch) -> GradientProfile:
    """The profile of a new network, by one of the two routes."""
    if route == "rnn":
        return rnn_gradient_profile(RNN(options, interface), batch)
    return teacher_gradient_profile(Teacher(options, interface), batch)


def distances(length: int) -> list[int]:
    """0, 1, 2, 4 and so on, and the largest there is."""
    powers = itertools.takewhile(lambda distance: distance < length - 1, (2**power for power in itertools.count()))
    return sorted({0, *powers, length - 1})


def draw(rows: pd.DataFrame) -> Figure:
    """Norms against distance at the largest length, one panel each.

    A line is the mean over seeds for one network and route, in a band from the smallest to the largest. Norms that are
    0 in float32 are left out.
    """
    longest = rows[rows["length"] == rows["length"].max()]
    colors = dict(zip(rows["network"].unique(), COLORS, strict=False))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 4), layout="constrained")
        for axes, (column, label) in zip(figure.subplots(1, 2, sharey=True), PANELS.items(), strict=True):
            for (network, route), own in longest.groupby(["network", "route"], sort=False):
                seeds = own[own[column] > 0].groupby("distance")[column].agg(["mean", "min", "max"])
                axes.plot(seeds.index, seeds["mean"], LINES[route], color=colors[network], marker="o", markersize=3)
                axes.fill_between(seeds.index, seeds["min"], seeds["max"], color=colors[network], alpha=0.15, lw=0)
            axes.set_xscale("symlog", base=2, linthresh=1)
            axes.set(yscale="log", xlabel="timesteps back from the last, T-1-t", title=label)
            axes.set_xticks(longest["distance"].unique(), longest["distance"].unique())
        axes.yaxis.set_tick_params(labelleft=True)
        handles = [Line2D([], [], color=color, label=network) for network, color in colors.items()]
        handles += [
            Line2D([], [], color=GRAY, label="through the RNN (BPTT)"),
            Line2D([], [], color=GRAY, linestyle="--", label="through encoder and decoder (SMT)"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure
