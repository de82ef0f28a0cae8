"""A loss or gradient that is not finite stops the run, on all ranks, before it reaches a weight."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning import seed_everything
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.precision import MixedPrecision

from memtrain.checkpoints import load_checkpoint
from memtrain.cli import main
from memtrain.data import Retrieval
from memtrain.divergence import SMALLEST_SCALE, Diverged
from memtrain.networks import Interface, NetworkOptions
from memtrain.spans import spans
from memtrain.training import BPTTModule

CONF = Path(__file__).parents[1] / "conf"
NETWORK = NetworkOptions(width=8, memory_tokens=2, heads=2, head_dimension=4)


def changed(outcome, term):
    """The outcome with another loss."""
    return replace(outcome, terms={"readout": term})


class Fragile(BPTTModule):
    """Its loss is NaN where a batch of its rank contains a certain sample."""

    bad_sample = 9

    def losses(self, step):
        outcome = super().losses(step)
        bad = (step.batch.index == self.bad_sample).any()
        return changed(outcome, outcome.terms["readout"] * (torch.nan if bad else 1.0))


class Explosive(BPTTModule):
    """Its loss is finite in step 2, its gradient is not."""

    def losses(self, step):
        outcome, zero = super().losses(step), self.rnn.embedding.weight.sum() * 0.0
        return changed(outcome, outcome.terms["readout"] + (zero.sqrt() if step.number == 2 else 0.0))


class Endless(BPTTModule):
    """Its loss is finite, its gradient is not from step 2 on."""

    def losses(self, step):
        outcome, zero = super().losses(step), self.rnn.embedding.weight.sum() * 0.0
        return changed(outcome, outcome.terms["readout"] + (zero.sqrt() if step.number >= 2 else 0.0))


class Weights(Callback):
    """Remembers the weights of the last whole step."""

    def on_train_batch_end(self, trainer, module, *_):
        self.state = {name: value.clone() for name, value in module.state_dict().items()}


class Witness(Fragile):
    """Writes down with which sentence each rank stops; the first to end would have the other one killed."""

    def training_step(self, batch, batch_idx):
        try:
            super().training_step(batch, batch_idx)
        except Diverged as error:
            Path(self.trainer.default_root_dir, f"{self.global_rank}.txt").write_text(str(error))
            self.trainer.strategy.barrier()
            raise


def fit(module_class, trainer, batch_size=4):
    seed_everything(0, verbose=False)
    module = module_class(interface=Interface.of_tokens(9), network=NETWORK)
    with pytest.raises(Exception, match="After 2 optimizer steps") as stopped:
        trainer.fit(module, datamodule=Retrieval(length=8, batch_size=batch_size))
    return module, stopped.value


@pytest.mark.parametrize(
    ("module_class", "sentence"),
    [
        (Fragile, "After 2 optimizer steps, on samples 8-11, the loss is nan, the norm of the rnn's gradient nan: "),
        (Explosive, "After 2 optimizer steps, on samples 8-11, the loss is 2."),
    ],
)
def test_the_step_is_not_taken_and_the_samples_are_named(module_class, sentence, make_trainer):
    weights = Weights()
    trainer = make_trainer(5, [weights], limit_val_batches=0)
    module, error = fit(module_class, trainer)
    assert isinstance(error, Diverged)
    assert str(error).startswith(sentence)
    assert "gradient nan" in str(error)
    assert "model.learning_rate below 0.001" in str(error)
    assert module.counters.steps == trainer.global_step == 2
    assert module.counters.tokens == 2 * 4 * 8  # the step that was not taken costs none
    for name, value in module.state_dict().items():
        assert torch.equal(value, weights.state[name]), name
        assert value.isfinite().all()


def test_a_gradient_that_no_scale_of_float16_makes_finite_stops_too(make_trainer):
    """The scaler skips such a step and halves its scale, by itself for ever."""
    scaler = torch.amp.GradScaler("cpu", init_scale=6 * SMALLEST_SCALE)
    trainer = make_trainer(20, plugins=[MixedPrecision("16-mixed", "cpu", scaler)], limit_val_batches=0)
    seed_everything(0, verbose=False)
    with pytest.raises(Diverged, match=r"After 5 optimizer steps, .* gradient nan"):
        trainer.fit(
            Endless(interface=Interface.of_tokens(9), network=NETWORK), datamodule=Retrieval(length=8, batch_size=4)
        )
    assert scaler.get_scale() == pytest.approx(0.75 * SMALLEST_SCALE)  # from step 2 on three were skipped


def test_all_ranks_stop_and_name_the_samples_of_the_rank_whose_loss_it_is(make_trainer, tmp_path):
    """Sample 9 is rank 1's; rank 0, whose loss is finite, stops in the same step."""
    fit(Witness, make_trainer(5, limit_val_batches=0, devices=2, strategy="ddp_fork"), batch_size=2)
    for rank in (0, 1):
        message = (tmp_path / f"{rank}.txt").read_text()
        assert message.startswith("After 2 optimizer steps, on samples 9, 11, the loss is nan")


def test_the_command_ends_with_one_sentence_and_the_last_good_checkpoint(tmp_path, capsys):
    files = [word for name in ("trainer", "bptt", "retrieval") for word in ("--config", str(CONF / f"{name}.yaml"))]
    more = ["--checkpoint_every=1", f"--model={__name__}.Fragile", f"--trainer.default_root_dir={tmp_path}"]
    assert main(["fit", *files, *more]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("memtrain: ")]
    assert len(said) == 1
    assert "After 2 optimizer steps, on samples 8-11, the loss is nan" in said[0]
    checkpoint = load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert checkpoint["global_step"] == checkpoint["memtrain"]["counters"]["steps"] == 2
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize(
    ("numbers", "written"), [([], ""), ([5], "5"), ([3, 1, 2, 7], "1-3, 7"), ([0, 2, 4], "0, 2, 4"), ([8, 9], "8-9")]
)
def test_runs_of_samples_are_written_short(numbers, written):
    assert spans(numbers) == written
