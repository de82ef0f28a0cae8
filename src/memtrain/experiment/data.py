"""The data of an experiment: built, checked and prepared at each of its difficulties."""

import itertools
from collections.abc import Mapping
from typing import Any

from jsonargparse import ArgumentError

from memtrain.data import SequenceDataModule
from memtrain.experiment.runs import evaluation_difficulties
from memtrain.experiment.specification import Experiment, Number
from memtrain.parsing import SentenceParser, sentence


def data_configuration(
    experiment: Experiment, difficulty: Number | None, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The data at one difficulty, evaluated on as many samples as the experiment says, with a stage's own `changes`."""
    changed: dict[str, Any] = {"evaluation_samples": experiment.evaluation.samples}
    if experiment.difficulty is not None:
        changed[experiment.difficulty.key] = difficulty
    return {**experiment.data, "init_args": {**experiment.data.get("init_args", {}), **changed, **(changes or {})}}


def build_data(configuration: Mapping[str, Any]) -> SequenceDataModule:
    """The data module that `class_path` and `init_args` describe.

    Raises:
        ValueError: for unknown options and impossible values.
    """
    parser = SentenceParser()
    parser.add_subclass_arguments(SequenceDataModule, "data", required=True, fail_untyped=False)
    try:
        return parser.instantiate(parser.parse_object({"data": dict(configuration)})).data
    except (ArgumentError, ValueError) as error:
        raise ValueError(sentence(error)) from None


def prepare_data(experiment: Experiment) -> None:
    """Download and convert the data of every difficulty, once, before several runs want them at the same time.

    Raises:
        FileNotFoundError: where a path of the data leads nowhere.
    """
    tuned = [experiment.grid.difficulty] if experiment.grid and experiment.grid.difficulty is not None else []
    difficulties = dict.fromkeys([*experiment.difficulties, *tuned, *experiment.evaluation.difficulties])
    own = [stage.data for stage in experiment.stages.values() if stage.data]
    for difficulty, changes in itertools.product(difficulties, [{}, *own]):
        build_data(data_configuration(experiment, difficulty, changes)).prepare_data()


def check_data(experiment: Experiment) -> None:
    """Refuse data that cannot be built, or whose inputs or targets differ between training and evaluation."""
    if experiment.evaluation.difficulties and experiment.difficulty is None:
        raise ValueError("evaluation.difficulties needs an entry difficulty that names the option they are values of.")
    for trained in experiment.difficulties:
        ends = {
            difficulty: build_data(data_configuration(experiment, difficulty)).interface()
            for difficulty in evaluation_difficulties(experiment, trained)
        }
        for difficulty, interface in ends.items():
            if interface != ends[trained]:
                raise ValueError(
                    f"evaluation.difficulties has {difficulty}, where the data have {interface}, but training at "
                    f"{trained} has {ends[trained]}; leave it out."
                )
        for name, stage in experiment.stages.items():
            if not stage.data:
                continue
            interface = build_data(data_configuration(experiment, trained, stage.data)).interface()
            if interface != ends[trained]:
                raise ValueError(
                    f"stages.{name}.data has {stage.data}, with {interface}, but the experiment's data have "
                    f"{ends[trained]}; change only what keeps them."
                )
