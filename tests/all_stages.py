"""One step of each stage on a data set, for the tests of the data sets."""

from pathlib import Path

from lightning import Trainer, seed_everything

from memtrain.data import SequenceDataModule
from memtrain.networks import NetworkOptions
from memtrain.training import BPTTModule, DMTModule, SMTModule, TeacherModule
from memtrain.trajectory import Windows

NETWORK = NetworkOptions(width=8, memory_tokens=2, heads=2, head_dimension=4, short_convolution=2)


def train_all_stages(data: SequenceDataModule, folder: Path) -> dict[str, Path]:
    """Train teacher, smt, dmt and bptt, each from the one before, and return the checkpoint of each."""
    saved: dict[str, Path] = {}
    for stage in (TeacherModule, SMTModule, DMTModule, BPTTModule):
        seed_everything(0, verbose=False)
        options = {"init_from": str(list(saved.values())[-1])} if saved else {"network": NETWORK}
        if stage is DMTModule:
            options |= {"windows": Windows(starts=2, length=[2, 4])}
        trainer = Trainer(
            max_steps=1,
            accelerator="cpu",
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(stage(interface=data.interface(), **options), datamodule=data)
        saved[stage.stage] = folder / f"{stage.stage}.ckpt"
        trainer.save_checkpoint(saved[stage.stage])
    return saved
