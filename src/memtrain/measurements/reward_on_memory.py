"""What a memory that was cloned from an expert is worth when reward comes: policy gradient on finished runs."""

from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib
import pandas as pd
import torch
from matplotlib.figure import Figure

from memtrain.compare.results import read_results
from memtrain.control import ModelPolicy, evaluate_policy, reinforce
from memtrain.environments import RecordedEpisodes
from memtrain.files import LAST_CHECKPOINT
from memtrain.networks import RNN
from memtrain.style import STYLE, looks_of
from memtrain.training.loading import load_datamodule, load_module


def reward_on_memory(
    runs: dict[str, str],
    iterations: int = 60,
    episodes: int = 64,
    played: int = 200,
    learning_rate: float = 0.01,
    temperature: float = 4.0,
    free: bool = True,
) -> tuple[list[dict[str, Any]], Figure]:
    """Evaluate the cloned policies of finished runs, then train a readout that is added to them on reward.

    Args:
        runs: folders that `memtrain run` has filled, by the expert that was cloned.
        iterations: updates of the policy gradient.
        episodes: played for each update.
        played: episodes by which policies are judged.
        learning_rate: of the policy gradient.
        temperature: of the cloned policy, while reward is learned from; see `memtrain.control.reinforce`.
        free: train the memory's update too, beside the frozen memory.

    Returns:
        A row for each run and way: `cloned` (as trained), `frozen` (readout on reward), `free` (update and readout on
        reward), with return, success, and return from 0 (random) to 1 (expert).

    Raises:
        FileNotFoundError: where a folder has no finished run.
    """
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for expert, folder in runs.items():
        for stage in read_results([Path(folder)]):
            if not stage.result.is_last:
                continue
            known = {"expert": expert, "method": stage.result.method, "seed": stage.result.seed}
            checkpoint = stage.folder / LAST_CHECKPOINT
            data = load_datamodule(checkpoint)
            assert isinstance(data, RecordedEpisodes)
            for way in ("cloned", "frozen", *(["free"] if free else [])):
                *_, model = load_module(checkpoint).models.values()
                assert isinstance(model, RNN)
                if way == "cloned":
                    policy = ModelPolicy(model, data.channels)
                    found = evaluate_policy(data.task, policy, played, seed=stage.result.seed, expert=data.expert)
                    row = {"success": found["policy"].success, "return": found["policy"].mean_return}
                else:
                    learned = reinforce(
                        model,
                        data.channels,
                        data.task,
                        train_memory=way == "free",
                        iterations=iterations,
                        episodes=episodes,
                        learning_rate=learning_rate,
                        temperature=temperature,
                        seed=stage.result.seed,
                    )
                    last = slice(-max(1, played // episodes), None)  # as many episodes as the cloned policy played
                    row = {
                        "success": fmean(learned.success[last]),
                        "return": fmean(learned.returns[last]),
                    }
                rows.append({**known, "way": way, **row})
    return rows, draw(pd.DataFrame(rows))


def draw(rows: pd.DataFrame) -> Figure:
    """Success, a panel an expert: each method's way as a point for every seed and a line at the mean."""
    looks = looks_of(rows["method"].unique())
    experts, ways = rows["expert"].unique(), list(dict.fromkeys(rows["way"]))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * len(experts), 3.4), layout="constrained")
        panels = figure.subplots(1, len(experts), squeeze=False, sharey=True)[0]
        for axes, expert in zip(panels, experts, strict=True):
            for position, (method, own) in enumerate(rows[rows["expert"] == expert].groupby("method", sort=False)):
                look, offset = looks[str(method)], 0.12 * position
                places = own["way"].map(ways.index) + offset
                axes.plot(places, own["success"], "o", color=look.color, alpha=0.5)
                means = own.groupby("way", sort=False)["success"].mean()
                at = [ways.index(way) + offset for way in means.index]
                axes.plot(at, means, "_", markersize=14, color=look.color, label=method)
            axes.set_title(f"expert: {expert}", loc="left")
            axes.set_xticks(range(len(ways)), ways)
            axes.set(ylim=(-0.05, 1.05), ylabel="successful episodes")
        panels[-1].legend(loc="best")
    return figure
