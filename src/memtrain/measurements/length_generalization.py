"""Accuracy beyond the training length: RNNs of finished runs, and their teachers."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memtrain.compare.results import read_results
from memtrain.data import SequenceDataModule
from memtrain.files import LAST_CHECKPOINT
from memtrain.style import GRAY, STYLE, Look, looks_of
from memtrain.training import StageModule
from memtrain.training.loading import load_datamodule, load_module

READINGS = {"rollout": "rnn", "teacher": "teacher"}
"""Readings by the names of their metrics."""


@dataclass
class Trained:
    """Runs of one experiment.

    Args:
        difficulty: the training difficulty (the length) of the runs that are read.
        methods: the methods that are read.
    """

    difficulty: float
    methods: list[str]


def length_generalization(
    runs: dict[str, Trained],
    factors: list[int],
    seeds: list[int],
    samples: int = 512,
    batch_size: int = 64,
) -> tuple[list[dict[str, Any]], Figure]:
    """Read the last checkpoint of finished runs on longer sequences than they were trained on, on one thread.

    Args:
        runs: folders that `memtrain run` has filled, and what is read of each.
        factors: lengths of the sequences, in training lengths; 1 is the training length.
        seeds: seeds of the runs.
        samples: sequences of the test split at each length.
        batch_size: sequences read at once. It decides how much room reading takes, and changes no result.

    Returns:
        A row for each experiment, method, reading, seed and length: the accuracy over all valid targets, in [0, 1], and
        that of guessing, `chance`; the training length is `trained`. The reading `rnn` is of the rolled-out RNN. Where
        the last stage holds a teacher there is a reading `teacher` too.

    Raises:
        FileNotFoundError: where a run or its checkpoint is missing.
        ValueError: where the data have no length, or other tokens at another one.
    """
    torch.set_num_threads(1)
    found = []  # all of them first, so that a missing one is noticed before the slow reading begins
    for folder, trained in runs.items():
        command = (
            f"memtrain run experiments/{Path(folder).name}/grid.yaml --methods {','.join(trained.methods)} "
            f"--seeds {','.join(map(str, seeds))} --set 'difficulty.values=[{trained.difficulty:g}]'"
        )
        for method, seed in itertools.product(trained.methods, seeds):
            found.append((*find_checkpoint(Path(folder), method, trained.difficulty, seed, command), method, seed))
    rows: list[dict[str, Any]] = []
    for experiment, checkpoint, method, seed in found:
        module, known = load_module(checkpoint), load_datamodule(checkpoint)
        for factor in factors:
            data = lengthened(known, factor, samples, batch_size)
            accuracies = read(module, data)
            for kind, reading in READINGS.items():
                if kind in accuracies:
                    row = {"experiment": experiment, "method": method, "reading": reading, "seed": seed}
                    row |= {"trained": known.difficulty, "length": data.difficulty, "accuracy": accuracies[kind]}
                    rows.append(row | {"chance": data.reference_lines().get("chance")})
    return rows, draw(pd.DataFrame(rows))


def find_checkpoint(folder: Path, method: str, trained: float, seed: int, command: str) -> tuple[str, Path]:
    """The name of the experiment, and the last checkpoint of a run's last stage.

    Raises:
        FileNotFoundError: where the run or its checkpoint is missing, naming the command that fills the folder.
    """
    try:
        found = read_results([folder])
    except FileNotFoundError:
        found = []
    for stage in found:
        result = stage.result
        if result.is_last and (result.method, result.difficulty, result.seed) == (method, trained, seed):
            checkpoint = stage.folder / LAST_CHECKPOINT
            if not checkpoint.is_file():
                run = stage.folder.parent  # must go: a run with a result is not trained again
                raise FileNotFoundError(f"{checkpoint} is missing; remove {run} and run it again: {command}")
            return result.experiment, checkpoint
    raise FileNotFoundError(
        f"{folder} has no finished run of {method} at {trained:g} with seed {seed}; run the experiment first: {command}"
    )


def lengthened(known: SequenceDataModule, factor: int, samples: int, batch_size: int) -> SequenceDataModule:
    """The same data with `factor` times the difficulty; see `length_generalization`.

    Raises:
        ValueError: where the data have no difficulty, or other tokens at another one.
    """
    name, trained, kind = known.difficulty_name, known.difficulty, type(known).__name__
    if name is None or trained is None:
        raise ValueError(f"runs names a run on {kind}, whose sequences have one length; leave it out.")
    options = {name: factor * trained, "evaluation_samples": samples, "evaluation_batch_size": batch_size, "workers": 0}
    data = type(known)(**{**known.hparams, **options})
    if data.interface() != known.interface():
        raise ValueError(
            f"runs names a run on {kind}, which has {known.interface()} at {name} {trained}, but {data.interface()} at "
            f"{data.difficulty}; leave it out."
        )
    return data


@torch.inference_mode()
def read(module: StageModule, data: SequenceDataModule) -> dict[str, float]:
    """Accuracy on the test split over all valid targets: `rollout` and `teacher`, as far as the module has them."""
    data.prepare_data()
    evaluation = module.evaluation("test")
    for batch in data.test_dataloader():
        evaluation.update(module.predictions(batch))
    metrics = evaluation.compute()
    evaluation.reset()
    accuracies = {kind: metrics.get(f"{kind}/accuracy") for kind in READINGS}
    return {kind: accuracy.item() for kind, accuracy in accuracies.items() if accuracy is not None}


def draw(rows: pd.DataFrame) -> Figure:
    """Accuracy against length, a panel an experiment: every seed as a point, the mean of a method as a line."""
    rows = rows.astype({"experiment": str, "method": str})
    looks = looks_of(rows["method"].unique())
    experiments = rows["experiment"].unique()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * len(experiments), 3.8), layout="constrained")
        panels = figure.subplots(1, len(experiments), squeeze=False)[0]
        for axes, experiment in zip(panels, experiments, strict=True):
            draw_experiment(axes, rows[rows["experiment"] == experiment], looks)
            axes.set_title(experiment, loc="left")
        handles = {line.get_label(): line for axes in panels for line in axes.get_legend_handles_labels()[0]}
        figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=3 * len(experiments))
    return figure


def draw_experiment(axes: Axes, rows: pd.DataFrame, looks: dict[str, Look]) -> None:
    """One panel."""
    factors = rows["length"] / rows["trained"]
    for (method, reading), own in rows.groupby(["method", "reading"], sort=False):
        look, helps = looks[str(method)], reading == "teacher"
        marker: dict[str, Any] = {"color": look.color, "markersize": 4, "clip_on": False}
        marker |= {"markerfacecolor": "none"} if helps else {}
        axes.plot(factors[own.index], own["accuracy"], "o", **marker)
        means = own["accuracy"].groupby(factors[own.index]).mean()
        label = f"{method}, {reading}" if helps else str(method)
        axes.plot(means.index, means, "--" if helps else look.line, color=look.color, label=label)
    for chance in rows["chance"].dropna().unique():
        axes.axhline(chance, color=GRAY, linestyle=":", linewidth=1, label="chance")
    ticks = sorted(factors.unique())
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel="length / training length", ylabel="accuracy on the test split", ylim=(0, 1.05))
