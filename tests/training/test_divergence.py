"""A loss or gradient that is not finite stops the run, on all ranks, before it reaches a weight."""

from pathlib import Path

import pytest
import torch
from lightning import seed_everything
from lightning.pytorch.callbacks import Callback

from memtrain.checkpoints import load_checkpoint
from memtrain.cli import main
from memtrain.data import Retrieval
from memtrain.networks import NetworkOptions
from memtrain.training import BPTTModule
from memtrain.training.divergence import Diverged, spans

CONF = Path(__file__).parents[1] / "conf"
NETWORK = NetworkOptions(width=8, memory_tokens=2, heads=2, head_dimension=4)


class Fragile(BPTTModule):
    """Its loss is NaN where a batch of its rank contains a certain sample."""

    bad_sample = 9

    def losses(self, batch):
        terms = super().losses(batch)
        return {"readout": terms["readout"] * (torch.nan if (batch.index == self.bad_sample).any() else 1.0)}


class Explosive(BPTTModule):
    """Its loss is finite in step 2, its gradient is not."""

    def losses(self, batch):
        zero = self.rnn.embedding.weight.sum() * 0.0
        return {"readout": super().losses(batch)["readout"] + (zero.sqrt() if self.global_step == 2 else 0.0)}


class Witness(Callback):
    """Remembers the weights of the last whole step, and writes down what stops each rank."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_exception(self, trainer, module, exception):
        if isinstance(exception, Diverged):  # and not what the process that has forked makes of it
            (self.folder / f"{trainer.global_rank}.txt").write_text(str(exception))
            trainer.strategy.barrier()  # or the first rank to end would have the other one killed

    def on_train_batch_end(self, trainer, module, *_):
        self.state = {name: value.clone() for name, value in module.state_dict().items()}


def fit(module_class, make_trainer, folder, batch_size=4, **options):
    seed_everything(0, verbose=False)
    module = module_class(vocabulary_size=9, network=NETWORK)
    witness = Witness(folder)
    trainer = make_trainer(5, [witness], limit_val_batches=0, **options)
    with pytest.raises(Exception, match="After 2 optimiser steps"):
        trainer.fit(module, datamodule=Retrieval(length=8, batch_size=batch_size))
    return module, trainer, witness


@pytest.mark.parametrize(
    ("module_class", "sentence"),
    [
        (Fragile, "After 2 optimiser steps, on samples 8-11, the loss is nan, the norm of the rnn's gradient nan: "),
        (Explosive, "After 2 optimiser steps, on samples 8-11, the loss is 2."),
    ],
)
def test_the_step_is_not_taken_and_the_samples_are_named(module_class, sentence, make_trainer, tmp_path):
    module, trainer, witness = fit(module_class, make_trainer, tmp_path)
    message = (tmp_path / "0.txt").read_text()
    assert message.startswith(sentence)
    assert "gradient nan" in message
    assert "model.learning_rate below 0.001" in message
    assert module.counters.steps == trainer.global_step == 2
    for name, value in module.state_dict().items():
        assert torch.equal(value, witness.state[name]), name
        assert value.isfinite().all()


def test_all_ranks_stop_and_name_the_samples_of_the_rank_whose_loss_it_is(make_trainer, tmp_path):
    """Sample 9 is rank 1's; rank 0, whose loss is finite, stops in the same step."""
    fit(Fragile, make_trainer, tmp_path, batch_size=2, devices=2, strategy="ddp_fork")
    for rank in (0, 1):
        message = (tmp_path / f"{rank}.txt").read_text()
        assert message.startswith("After 2 optimiser steps, on samples 9, 11, the loss is nan")


def test_the_command_ends_with_one_sentence_and_the_last_good_checkpoint(tmp_path, capsys):
    files = [word for name in ("trainer", "bptt", "retrieval") for word in ("--config", str(CONF / f"{name}.yaml"))]
    more = ["--checkpoint_every=1", f"--model={__name__}.Fragile", f"--trainer.default_root_dir={tmp_path}"]
    assert main(["fit", *files, *more]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("memtrain: ")]
    assert len(said) == 1
    assert "After 2 optimiser steps, on samples 8-11, the loss is nan" in said[0]
    checkpoint = load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert checkpoint["global_step"] == checkpoint["memtrain"]["counters"]["steps"] == 2
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize(
    ("numbers", "written"), [([], ""), ([5], "5"), ([3, 1, 2, 7], "1-3, 7"), ([0, 2, 4], "0, 2, 4"), ([8, 9], "8-9")]
)
def test_runs_of_samples_are_written_short(numbers, written):
    assert spans(numbers) == written
