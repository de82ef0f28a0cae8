"""Experiments: every method, difficulty and seed of one YAML file, here or as the tasks of a cluster's job array."""

from memtrain.experiment.reading import read_experiment
from memtrain.experiment.runner import launch_experiment, run_index
from memtrain.experiment.specification import Experiment
from memtrain.experiment.submission import submit_experiment

__all__ = ["Experiment", "launch_experiment", "read_experiment", "run_index", "submit_experiment"]
