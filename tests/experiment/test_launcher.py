"""Processes of runs: how they end is told."""

import signal

from memtrain.experiment.launcher import ending


def test_a_killed_run_names_its_signal() -> None:
    assert ending(-signal.SIGKILL) == "was killed by SIGKILL"
    assert ending(1) == "failed with status 1"
