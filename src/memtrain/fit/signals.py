"""What a signal of the cluster asks for is done between two optimizer steps, on all processes at the same one."""

import os
import signal
import subprocess
import threading
import warnings
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from memtrain.fit.saving import LastCheckpoint


class BetweenSteps(Callback):
    """Heeds signals between two steps, where Lightning does so at once, in the middle of one.

    Lightning saves within its handler of SLURM's signal: after the update of one network and before that of the next,
    or between optimizer and schedule. Its handler of SIGTERM talks to the other processes, which may be elsewhere in
    the step. The handlers here only remember the signal. What it asks for follows once the step has ended, with its
    validation where it has one: a checkpoint; then the job goes back to the queue, or training ends.

    Args:
        requeue: SLURM's signal that the time limit is near; None: the job stays out of the queue.
        last: keeps the checkpoints; None: there are none.
    """

    def __init__(self, requeue: signal.Signals | None, last: LastCheckpoint | None) -> None:
        self.requeue, self.last = requeue, last
        self.received: set[int] = set()
        """Signals that have come to this process."""
        self.agreed: set[int] = set()
        """Those that have come to any process, as all know."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave a signal alone for which the user's program has a handler, as Lightning does."""
        if self.requeue is not None and signal.getsignal(self.requeue) not in (None, signal.SIG_DFL):
            self.requeue = None

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the place of Lightning's handlers; it puts those from before training back itself."""
        self.listen(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The same, where nothing is tried out before training."""
        self.listen(trainer)

    def listen(self, trainer: Trainer) -> None:
        """Remember signals. Lightning's own handler of SIGTERM does no harm to a process that is alone."""
        if threading.current_thread() is not threading.main_thread():
            return
        if self.requeue is not None:
            signal.signal(self.requeue, lambda number, _: self.received.add(number))
        if trainer.world_size > 1:

            def end(number: int, frame: FrameType | None) -> None:
                if number not in self.received and trainer.strategy.launcher is not None:
                    trainer.strategy.launcher.kill(number)  # the processes that this one has started
                self.received.add(number)

            signal.signal(signal.SIGTERM, end)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Ask for a checkpoint, which is saved after this, as checkpoints come last."""
        self.agree(trainer)
        if self.agreed and self.last is not None:
            self.last.due = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The checkpoint that follows is saved in any case."""
        self.agree(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Do what is asked for."""
        self.put_back(trainer)
        if signal.SIGTERM in self.agreed:
            raise SIGTERMException

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What comes after this training may need another turn."""
        self.put_back(trainer)

    def agree(self, trainer: Trainer) -> None:
        """Let all processes know of a signal that any of them has received."""
        for number in filter(None, (self.requeue, signal.SIGTERM)):
            if trainer.strategy.reduce_boolean_decision(number in self.received, all=False):
                self.agreed.add(number)

    def put_back(self, trainer: Trainer) -> None:
        """Put the job back into the queue, once; SLURM then ends this turn."""
        if self.requeue not in self.agreed:
            return
        self.agreed.remove(self.requeue)
        self.received.discard(self.requeue)
        if trainer.is_global_zero:
            put_back()


def put_back() -> None:
    """Put this process's SLURM job back into the queue, or warn that it could not be."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
        problem = done.stderr.strip() if done.returncode else None
    except OSError as error:
        problem = str(error)
    if problem is not None:
        warnings.warn(
            f"Job {job} could not be put back into the queue ({problem}); continue it with --ckpt_path last, or the "
            "same memtrain run.",
            stacklevel=2,
        )
