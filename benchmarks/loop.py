"""What the Trainer adds to a step: the same steps with and without it (workload J)."""

from dataclasses import replace
from functools import partial

from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from benchmarks.builders import Pair, smt_options
from benchmarks.ours import FixedTimestepSMT, loss_of, our_step, quiet_trainer
from benchmarks.parity import random_batch
from benchmarks.reference import Reference
from benchmarks.settings import Setting
from benchmarks.timing import Side
from memtrain.batch import SequenceBatch
from memtrain.data.base import as_batch

LOOP_STEPS = 8
"""Optimizer steps in one run of either loop of workload J."""


def lightning_loop(name: str, reference: Reference | None, setting: Setting) -> Pair:
    """Some steps under a Trainer, its set-up included, against the same steps in a bare loop (workload J)."""
    samples = replace(setting, batch=setting.batch * LOOP_STEPS)
    batch = random_batch(samples, setting.context + setting.future)
    loader: DataLoader[SequenceBatch] = DataLoader(
        batch.split(setting.batch),  # type: ignore[arg-type]
        batch_size=None,
        collate_fn=as_batch,  # type: ignore[arg-type]
    )

    def module() -> FixedTimestepSMT:
        return FixedTimestepSMT(context=setting.context, **smt_options(setting, {}))

    fitted, bare = module(), module()
    step = our_step(bare, batch)

    def fit() -> Trainer:
        trainer = quiet_trainer(max_steps=LOOP_STEPS)
        trainer.fit(fitted, loader)
        return trainer

    def loop() -> None:
        for part in loader:
            step.loss = partial(loss_of, bare, part)
            step()

    return Pair(Side(fit, units=LOOP_STEPS), Side(loop, units=LOOP_STEPS), {})
