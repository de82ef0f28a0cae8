"""Checks of an experiment file before anything runs: its parts must fit each other."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import fields

from memtrain.experiment.options import EVERY
from memtrain.experiment.runs import combinations
from memtrain.experiment.specification import Budget, Experiment, Grid, Slurm
from memtrain.limits import LARGEST_SEED, require_at_least

OWN_FOLDERS = {
    "tuning": "the folder of the tuning runs",
    "timing": "the folder of stages that are being timed",
    "slurm": "the folder of the cluster's scripts and logs",
}
OWN_PLACES = {"data": "data.batch_size", "network": "network.width"}
"""First words of options to choose that are no stage's, and an example of each."""
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
"""A word that can be a folder's name."""
MEMORY = re.compile(r"[1-9][0-9]*[KMGT]?")
LEAST_HOURS = 0.1
PRINTABLE = re.compile(r"[^\s\"'\\]*")


def check(experiment: Experiment) -> None:
    """Refuse an experiment whose parts do not fit each other."""
    for option, names in (
        ("name", [experiment.name]),
        ("methods", experiment.methods),
        ("stages", experiment.stages),
    ):
        for name in names:
            if not WORD.fullmatch(name):
                raise ValueError(f"{option} has {name!r}, but names a folder; use letters, digits, _, - and dots.")
    if experiment.measurement is not None:
        check_measurement(experiment)
        return
    check_budget(experiment.budget)
    for name, entries in (("data", experiment.data), ("methods", experiment.methods)):
        if not entries:
            raise ValueError(f"{name} is empty, but an experiment needs it; see experiments/demo/experiment.yaml.")
    for name, stage in experiment.stages.items():
        if stage.share <= 0:
            raise ValueError(f"stages.{name}.share is {stage.share}, but must be more than 0; for example 0.5.")
    for method, stages in experiment.methods.items():
        unknown = [stage for stage in stages if stage not in experiment.stages]
        if unknown or not stages:
            raise ValueError(
                f"methods.{method} names {unknown[0] if unknown else 'no stage'}, "
                f"but stages has {', '.join(experiment.stages)}."
            )
        if method in OWN_FOLDERS:
            raise ValueError(f"methods has a method named {method}, which is {OWN_FOLDERS[method]}; rename it.")
    for option, seeds in (
        ("seeds", experiment.seeds),
        ("grid.seeds", experiment.grid.seeds if experiment.grid else []),
    ):
        wrong = next((seed for seed in seeds if not 0 <= seed <= LARGEST_SEED), None)
        if wrong is not None:
            raise ValueError(f"{option} has {wrong}, but a seed must be in 0..{LARGEST_SEED}; choose for example 0.")
    check_comparison(experiment)
    check_equal(experiment)
    check_overwritten(experiment)
    check_slurm(experiment.slurm)
    check_lists(experiment)
    if experiment.grid is not None:
        check_grid(experiment, experiment.grid)


def check_budget(budget: Budget) -> None:
    """Refuse a budget that says nothing, or two things."""
    choice = "give --set budget='{steps: 400}' on the command line, or budget: {seconds: 150} in the file"
    if budget.seconds is None and budget.steps is None:
        raise ValueError(f"budget has neither seconds nor steps, but needs one of them; {choice}.")
    if budget.seconds is not None and budget.steps is not None:
        raise ValueError(f"budget has seconds {budget.seconds:g} and steps {budget.steps}, but can have one; {choice}.")
    for name, value in (("seconds", budget.seconds), ("steps", budget.steps)):
        if value is not None and value <= 0:
            raise ValueError(f"budget.{name} is {value}, but must be more than 0; choose for example 400.")


def check_equal(experiment: Experiment) -> None:
    """Refuse to give methods the costs of one that there is not, or that has none of its own."""
    equal = experiment.equal_sequential_flops
    if equal is None:
        return
    for name, methods in (("reference", [equal.reference]), ("methods", equal.methods)):
        unknown = next((method for method in methods if method not in experiment.methods), None)
        if unknown is not None:
            raise ValueError(
                f"equal_sequential_flops.{name} names {unknown}, but methods has {', '.join(experiment.methods)}; add "
                "it, to --methods too."
            )
    if equal.reference in equal.methods:
        raise ValueError(
            f"equal_sequential_flops.methods names {equal.reference}, which is the reference; leave it out."
        )


def check_measurement(experiment: Experiment) -> None:
    """Refuse entries that a measurement would ignore: it has options of its own."""
    alone = Experiment(experiment.name, experiment.claim, measurement=experiment.measurement)
    for entry in fields(Experiment):
        if getattr(experiment, entry.name) != getattr(alone, entry.name):
            raise ValueError(
                f"{entry.name} is given, but {experiment.name} is one measurement, which has no use for it; leave it "
                "out, or see measurement.init_args."
            )


def check_lists(experiment: Experiment) -> None:
    """Refuse lists that are empty, or that have an entry twice."""
    grid, difficulty = experiment.grid, experiment.difficulty
    lists: dict[str, Sequence[object]] = {f"methods.{name}": stages for name, stages in experiment.methods.items()}
    lists["seeds"] = experiment.seeds
    if difficulty is not None:
        lists["difficulty.values"] = difficulty.values
    if grid is not None:
        lists["grid.seeds"] = grid.seeds
        for method, options in grid.options.items():
            lists |= {f"grid.options.{method}.{name}": values for name, values in options.items()}
    for option, entries in lists.items():
        if not entries:
            raise ValueError(f"{option} is empty, but an experiment needs it; see experiments/demo/experiment.yaml.")
    lists["evaluation.difficulties"] = experiment.evaluation.difficulties
    for option, entries in lists.items():
        twice = [entry for entry in entries if entries.count(entry) > 1]
        if twice:
            raise ValueError(f"{option} has {twice[0]} twice; leave one out.")


def check_grid(experiment: Experiment, grid: Grid) -> None:
    """Refuse options of unknown places, unequal numbers of trials, and a seed that is compared."""
    if grid.difficulty is not None and experiment.difficulty is None:
        raise ValueError(
            f"grid.difficulty is {grid.difficulty}, but the experiment has no difficulty; leave it out, or set that."
        )
    for method, options in grid.options.items():
        if method not in experiment.methods:
            raise ValueError(f"grid.options names {method}, but methods has {', '.join(experiment.methods)}.")
        if not options:
            raise ValueError(f"grid.options.{method} is empty; give it options and their values, or leave it out.")
        for name in options:
            check_name(experiment, method, name)
    trials = dict.fromkeys(experiment.methods, 0)
    trials |= {method: len(combinations(options)) for method, options in grid.options.items()}
    fewest, most = min(trials, key=lambda m: trials[m]), max(trials, key=lambda m: trials[m])
    if trials[fewest] != trials[most] and not grid.unequal:
        raise ValueError(
            f"grid.options gives {most} {trials[most]} trials and {fewest} {trials[fewest]}, but methods that are "
            "compared need as many; give each the same number, or say grid.unequal: true."
        )
    shared = set(grid.seeds) & set(experiment.seeds)
    if shared:
        raise ValueError(f"grid.seeds has {shared.pop()}, which is among seeds too; tune on a seed of its own.")


def check_name(experiment: Experiment, method: str, name: str) -> None:
    """Refuse an option to choose whose place there is not, or whose value the runner sets."""
    place, *path = name.split(".")
    stages, option = experiment.methods[method], f"grid.options.{method} has {name}"
    if place in OWN_PLACES:
        if place in experiment.stages:
            raise ValueError(f"{option}, but {place} is a stage too; rename the stage.")
        if not path or not all(path):
            raise ValueError(f"{option}, which names no option; write for example {OWN_PLACES[place]}.")
        varied = experiment.difficulty.key if experiment.difficulty else None
        if place == "data" and path[0] in (varied, "evaluation_samples"):
            raise ValueError(f"{option}, which is the same for all methods; leave it out.")
    elif place not in (*stages, EVERY) or len(path) < 2 or path[0] != "model" or not all(path):
        raise ValueError(
            f"{option}, but an option is STAGE.model.NAME with a stage of the method ({', '.join(stages)}) or * for "
            "all of them, data.NAME or network.NAME; write for example *.model.learning_rate."
        )


def check_overwritten(experiment: Experiment) -> None:
    """Refuse options that the runner sets itself."""
    options = experiment.data.get("init_args", {})
    if experiment.difficulty is not None and experiment.difficulty.key in options:
        key = experiment.difficulty.key
        raise ValueError(f"data.init_args.{key} is what difficulty varies; set difficulty.values instead.")
    places = {"data.init_args": options} | {f"stages.{n}.data": s.data for n, s in experiment.stages.items()}
    for place, own in places.items():
        if "evaluation_samples" in own:
            raise ValueError(f"{place}.evaluation_samples is set by the runner; set evaluation.samples instead.")
    trainers = {"trainer": experiment.trainer} | {
        f"stages.{n}.trainer": s.trainer for n, s in experiment.stages.items()
    }
    for name, trainer in trainers.items():
        if "max_steps" in trainer:
            raise ValueError(f"{name}.max_steps is set by the runner; give --set budget='{{steps: 400}}' instead.")
        if trainer.get("default_root_dir") is not None:
            raise ValueError(f"{name}.default_root_dir is set by the runner; give --output instead.")
        if trainer.get("enable_checkpointing") is False:
            raise ValueError(
                f"{name}.enable_checkpointing is false, but results are read from checkpoints; leave it out."
            )
        if trainer.get("fast_dev_run"):
            raise ValueError(
                f"{name}.fast_dev_run keeps no checkpoint to read results from; "
                "give --set budget='{steps: 1}' instead."
            )
    for method, stages in experiment.methods.items():
        for before, name in itertools.pairwise(stages):
            if experiment.stages[name].model.get("init_args", {}).get("init_from") is not None:
                raise ValueError(
                    f"stages.{name}.model.init_args.init_from is given, but methods.{method} has it continue {before}; "
                    f"leave init_from out, or begin the method with {name}."
                )


def check_slurm(slurm: Slurm) -> None:
    """Refuse requests that no cluster can grant."""
    require_at_least("slurm.cpus", slurm.cpus, 1, example=4)
    if slurm.hours < LEAST_HOURS:
        raise ValueError(
            f"slurm.hours is {slurm.hours}, but a run is told two minutes before its limit to save itself; set it to "
            f"at least {LEAST_HOURS}."
        )
    if slurm.memory is not None and not MEMORY.fullmatch(slurm.memory):
        raise ValueError(f"slurm.memory is {slurm.memory}, but must be a number and its unit, for example 16G.")
    lines = [*slurm.options, *map(str, slurm.options.values()), slurm.partition or ""]
    broken = next((line for line in lines if not PRINTABLE.fullmatch(line)), None)
    if broken is not None:
        raise ValueError(f"slurm has {broken!r}, which is no word for a line of sbatch; leave out spaces and quotes.")


def check_comparison(experiment: Experiment) -> None:
    """Refuse pairs that are none, or of unknown methods, and a threshold that is no accuracy."""
    seen: set[frozenset[str]] = set()
    for number, pair in enumerate(experiment.family or []):
        place = f"family[{number}] is [{', '.join(pair)}]"
        if len(pair) != 2 or pair[0] == pair[1]:
            raise ValueError(f"{place}, but must be two methods, for example [smt_dmt, bptt].")
        unknown = [name for name in pair if name not in experiment.methods]
        if unknown:
            raise ValueError(f"{place}, but methods has {', '.join(experiment.methods)}, and no {unknown[0]}.")
        if frozenset(pair) in seen:
            raise ValueError(f"{place}, a pair that family has twice; leave one out.")
        seen.add(frozenset(pair))
    solved_at = experiment.solved_at
    if solved_at is not None and not 0 < solved_at <= 1:
        raise ValueError(
            f"solved_at is {solved_at:g}, but must be an accuracy above 0 and at most 1; choose for example 0.95."
        )
