"""How long a step of each stage takes: timed once for all seeds, before the runs, and recorded in `timing.json`."""

import os
import shutil
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from memtrain.experiment.evaluation import untouched
from memtrain.experiment.launcher import is_first
from memtrain.experiment.plan import RunPlan, StagePlan, configure, plan_run
from memtrain.experiment.progress import ProgressFile
from memtrain.experiment.runs import Run, list_runs
from memtrain.experiment.specification import Experiment, Number
from memtrain.experiment.tuning import tuned
from memtrain.files import read_json, write_json
from memtrain.fit import MemtrainCLI
from memtrain.lock import in_turn
from memtrain.provenance import provenance

TIMINGS = Path("timing.json")
"""In the folder of an experiment's results."""
FOLDER = Path("timing")
"""Checkpoints of timed stages, while they are wanted."""
READINGS, WARM_UP_STEPS, TIMED_STEPS = 3, 4, 12
"""Readings of each stage, and the steps of each, timed or before."""
HARMLESS = {"learning_rate": 1e-4, "warmup_steps": 0}
"""Options of timed copies: a step takes as long at any rate, and none must diverge."""
SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Timing:
    """What the steps of a stage cost.

    Args:
        method: name of a method that has the stage; others may have the same.
        difficulty: of its data.
        stage: its name.
        readings: seconds of a step, each in the mean over the steps of a throw-away copy.
        sequential_flops: of a step, per sample, in the mean over a copy of the whole stage.
        untrained: whether the networks of the stages before were next to untrained when it was timed.
        hardware: see `memtrain.provenance`.
    """

    method: str
    difficulty: Number | None
    stage: str
    readings: list[float]
    sequential_flops: float
    untrained: bool
    hardware: dict[str, Any]

    @property
    def seconds_per_step(self) -> float:
        """The median of the readings."""
        return statistics.median(self.readings)


def read_timings(directory: Path) -> dict[str, Timing]:
    """The timings of an experiment's folder, by the `speed` of the stage."""
    try:
        return {speed: Timing(**entry) for speed, entry in (read_json(directory / TIMINGS) or {}).items()}
    except (TypeError, AttributeError):
        raise ValueError(
            f"{directory / TIMINGS} is of another version of memtrain; remove it, and the steps are timed again."
        ) from None


def timings_for(experiment: Experiment, plan: RunPlan, directory: Path, progress: ProgressFile) -> dict[str, Timing]:
    """The timings of a run's stages, after timing what the folder has no timings of.

    The first run that needs one times the stages of all methods and difficulties, while the others wait: three readings
    of each in turn, so that what slows the machine for a while slows all alike.

    Args:
        experiment: the experiment.
        plan: of one of its runs.
        directory: folder of its results.
        progress: told what the run is waiting for.

    Raises:
        ValueError: where a stage of this run cannot be trained.
    """
    progress.report(plan.stages[0].name, "timing, or waiting for it")
    needed = [plan, *references(experiment, plan, directory)]
    if is_first():
        with in_turn("--output", directory / "timing.lock"):
            recorded = read_timings(directory)
            if not covers(recorded, needed):
                write_json(directory / FOLDER / "turn.json", turn())
                try:
                    recorded = time_all(experiment, needed, directory)
                finally:
                    shutil.rmtree(directory / FOLDER)
    elif wait_for_first(needed, directory):
        recorded = time_all(experiment, needed, directory)
    else:
        recorded = read_timings(directory)
    for sentence in other_hardware(recorded[stage.speed] for stage in plan.stages):
        rank_zero_info(sentence)
    return recorded


def other_hardware(timings: Iterable[Timing]) -> list[str]:
    """A sentence for each hardware that is not this machine's and that stages were timed on."""
    here = machine(provenance()["hardware"])
    found = dict.fromkeys(machine(timing.hardware) for timing in timings)
    return [
        f"Steps were timed on {there}, which is not this machine ({here}); their number is kept for all seeds."
        for there in found
        if there != here
    ]


def machine(hardware: Mapping[str, Any]) -> str:
    """Processor, cores and GPU."""
    words = [hardware["processor"], f"{hardware['cores']} cores", hardware["gpu"] or "no GPU"]
    return ", ".join(map(str, words))


def covers(timings: Mapping[str, Timing], plans: Iterable[RunPlan]) -> bool:
    """Whether all stages of runs are timed."""
    return all(stage.speed in timings for plan in plans for stage in plan.stages)


def references(experiment: Experiment, plan: RunPlan, directory: Path) -> list[RunPlan]:
    """The run whose sequential FLOPs a run takes, if it takes any.

    That of a tuning run has the file's options, for at that time none are chosen.
    """
    run = plan.run
    reference = experiment.reference_of(run.method)
    if reference is None:
        return []
    found = plan_run(experiment, plan.index, Run(reference, run.difficulty, run.seed))
    return [found] if run.options else tuned(experiment, [found], directory)


def turn() -> str:
    """Names the turn of a cluster's job, which its processes have in common; empty elsewhere."""
    return " ".join(os.environ.get(f"SLURM_{name}", "") for name in ("JOB_ID", "RESTART_COUNT")).strip()


def wait_for_first(needed: Sequence[RunPlan], directory: Path) -> bool:
    """Whether the first process of this run is timing, and needs this one; wait until that is known.

    Elsewhere than on a cluster the first process starts the others when it trains, and trains nothing before.
    """
    while not covers(read_timings(directory), needed):
        if not turn() or read_json(directory / FOLDER / "turn.json") == turn():
            return True
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return False


def time_all(experiment: Experiment, needed: Sequence[RunPlan], directory: Path) -> dict[str, Timing]:
    """Time what a run and its like (all tuning runs, or all of the comparison) have no timings of.

    Args:
        experiment: the experiment.
        needed: the run, and others whose timings it needs.
        directory: folder of the results.

    Raises:
        ValueError: where a stage of this run cannot be trained; those of others will say so themselves.
    """
    recorded = read_timings(directory)
    wanted = [*alike(experiment, needed[0], directory), *needed[1:]]
    left = [other for other in wanted if not covers(recorded, [other])]
    stages: dict[str, tuple[RunPlan, StagePlan, str | None]] = {}
    for other in left:
        before = None
        for stage in other.stages:
            stages.setdefault(stage.speed, (other, stage, before))
            before = stage.speed
    readings: dict[str, list[Reading]] = {speed: [] for speed in stages}
    failed: dict[str | None, ValueError] = {}
    for _ in range(READINGS):
        for speed, (_, stage, before) in stages.items():
            if speed in failed or before in failed:
                failed.setdefault(speed, failed[before] if before in failed else failed[speed])
                continue
            source = None if before is None else checkpoint(directory, before)
            try:
                readings[speed].append(time_steps(stage, directory / FOLDER, source, checkpoint(directory, speed)))
            except ValueError as error:
                failed[speed] = error
    for speed, (other, stage, before) in stages.items():
        if speed not in failed and speed not in recorded:
            recorded[speed] = timing_of(other, stage, readings[speed], untrained=before is not None)
    rank_zero_only(write_json)(directory / TIMINGS, {speed: asdict(timing) for speed, timing in recorded.items()})
    for stage in (stage for plan in needed for stage in plan.stages):
        if stage.speed in failed:
            raise failed[stage.speed]
    return recorded


def timing_of(plan: RunPlan, stage: StagePlan, readings: Sequence["Reading"], untrained: bool) -> Timing:
    """The timing of a stage from its readings."""
    flops = readings[-1].sequential_flops
    seconds = [reading.seconds for reading in readings]
    hardware = provenance()["hardware"]
    return Timing(plan.run.method, plan.run.difficulty, stage.name, seconds, flops, untrained, hardware)


def alike(experiment: Experiment, plan: RunPlan, directory: Path) -> list[RunPlan]:
    """This run and those of its kind (tuning runs, or runs of the comparison) that can be planned, with its seed."""
    found = {own_speed(plan): plan}
    for index, run in enumerate(list_runs(experiment)):
        if bool(run.options) == bool(plan.run.options) and run.seed == plan.run.seed:
            try:
                (other,) = tuned(experiment, [plan_run(experiment, index, run)], directory)
            except ValueError:  # a method that nothing could be chosen for
                continue
            found.setdefault(own_speed(other), other)
    return list(found.values())


def own_speed(plan: RunPlan) -> str:
    """Of a run's last stage, and so of all of them."""
    return plan.stages[-1].speed


def checkpoint(directory: Path, speed: str) -> Path:
    """Where a timed stage leaves its networks for the stage after it."""
    return directory / FOLDER / f"{speed}.ckpt"


@dataclass(frozen=True)
class Reading:
    """What a step of a throw-away copy has cost.

    Args:
        seconds: of training.
        sequential_flops: per sample.
    """

    seconds: float
    sequential_flops: float


def time_steps(plan: StagePlan, folder: Path, source: Path | None, target: Path) -> Reading:
    """Time the steps of a throw-away copy of a stage.

    The timed copy takes its few steps for the whole stage: options that change over a stage, as growing windows, go
    from their first value to their last. A process that trains alone on a CPU is timed by its own CPU seconds: other
    work on the machine must not take steps from it.

    A later stage starts from the copy of the stage before, whose networks have the right shapes and are next to
    untrained. Time does not depend on weights, with one exception: the number of Newton's iterations. Untrained cells
    need few, so that such a stage may take longer than its seconds; its `train_seconds` tell.

    Args:
        plan: of the stage.
        folder: a folder for what the copies might leave.
        source: the checkpoint to start from; None: that of the file, if it names one.
        target: where to put the copy's checkpoint.
    """
    model = plan.configuration["model"]
    model = {**model, "init_args": {**model["init_args"], **HARMLESS}}
    copy = replace(plan, configuration={**plan.configuration, "model": model})
    for steps in (WARM_UP_STEPS, TIMED_STEPS):
        configuration = configure(copy, source, max_steps=steps, limit_val_batches=0)
        cli = MemtrainCLI(configuration, directory=untouched(folder), record=False)
        cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    alone = cli.trainer.strategy.root_device.type == "cpu" and cli.trainer.world_size == 1
    spent = "cpu_seconds" if alone else "train_seconds"
    before = cli.model.source.counters if cli.model.source else {}
    seconds = (getattr(cli.model.counters, spent) - before.get(spent, 0.0)) / TIMED_STEPS
    flops = (cli.model.counters.sequential_flops - before.get("sequential_flops", 0)) / TIMED_STEPS
    target.parent.mkdir(parents=True, exist_ok=True)
    cli.trainer.save_checkpoint(target)
    return Reading(cli.trainer.strategy.broadcast(seconds), flops)  # the first process's: all train as many steps
