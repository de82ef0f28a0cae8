"""The name of a run's folder."""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from memtrain.fit.cluster import step_name


def new_directory(classes: Sequence[str], command: str) -> Path:
    """`runs/fit/<model>-<data>-<time>-<job or process>`: no two fits share it, though they start together.

    A step of a batch job ends in the numbers of job and step instead. These are the same for all its processes, and in
    each turn of a job that goes back to the queue. Of several fits in one step each needs a folder of its own.

    Args:
        classes: class paths of model and data.
        command: fit, validate, test or predict.
    """
    names = [class_path.rpartition(".")[2] for class_path in classes]
    now = f"{datetime.now():%Y%m%d-%H%M%S}-{os.environ.get('SLURM_JOB_ID') or os.getpid()}"
    return Path("runs", command, "-".join([*names, step_name() or now]))
