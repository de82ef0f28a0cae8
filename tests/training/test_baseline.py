"""Stage `baseline`: its loss written the slow way, its cost, and any model of the protocol from training to use."""

import re
from functools import partial

import pytest
import torch
from tiny import INTERFACE, LENGTH, NETWORK, Batches
from torch import nn
from torch.nn import functional as F

from memtrain.generate import generate_samples
from memtrain.networks import CausalTransformer, LinearRecurrence, StreamingModel
from memtrain.networks.flops import product_flops
from memtrain.networks.generation import generate_tokens
from memtrain.training import BaselineModule, SMTModule
from memtrain.training.loading import load_module
from memtrain.training.step import Step


class WindowModel(nn.Module):
    """A user's own model: it sees the last two inputs, and has no stream."""

    def __init__(self, interface, width=8):
        super().__init__()
        self.embedding = interface.inputs.encoder(width)
        self.mix = nn.Linear(2 * width, width)
        self.head = interface.outputs.head(width)

    def outputs(self, inputs, timesteps, ahead=None):
        now = self.embedding(inputs)
        before = F.pad(now, (0, 0, 1, 0))[:, :-1]
        return self.head(self.mix(torch.cat([before, now], dim=-1)).relu()[:, timesteps])

    def sequential_flops(self, length):
        return product_flops(self.mix) + product_flops(self.head)


MODELS = {
    "linear recurrence": partial(LinearRecurrence, width=8, layers=2),
    "causal transformer": partial(CausalTransformer, width=8, layers=2, heads=2, head_dimension=4),
    "user's": WindowModel,
}


def baseline(name="linear recurrence", **options) -> BaselineModule:
    return BaselineModule(interface=INTERFACE, model=MODELS[name], warmup_steps=2, **options)


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_is_the_mean_over_all_valid_targets(batch, name):
    module = baseline(name).double()
    losses = []
    for sample, position in batch.mask.nonzero().tolist():
        past = batch.inputs[sample : sample + 1, : position + 1]
        logits = module.model.outputs(past, torch.tensor([position]))[0, 0]
        losses.append(F.cross_entropy(logits, batch.targets[sample, position]))
    assert len(losses) > 5
    outcome = module.losses(Step.alone(batch))
    assert outcome.terms.keys() == {"prediction"}
    torch.testing.assert_close(outcome.loss, torch.stack(losses).mean())


def test_micro_batches_have_the_mean_of_the_whole_batch(batch):
    module = baseline().double()
    whole = Step.alone(batch)
    step = Step(batch, whole.targets, shards=3)
    parts = [module.losses(step.part(part)).loss for part in batch.split(1)]
    torch.testing.assert_close(torch.stack(parts).mean(), module.losses(whole).loss)


@pytest.mark.parametrize("name", MODELS)
def test_the_way_back_costs_twice_the_way_forward_and_no_cell_is_unrolled(batch, name):
    module = baseline(name)
    outcome = module.losses(Step.alone(batch))
    assert outcome.sequential_flops == 3 * module.model.sequential_flops(LENGTH) > 0
    assert outcome.gradient_chain == 0


@pytest.mark.parametrize("name", MODELS)
def test_it_trains_is_counted_and_comes_back_from_its_checkpoint(train, batch, name):
    module = baseline(name)
    before = {name: p.clone() for name, p in module.model.named_parameters()}
    path = train(module, "baseline")
    for parameter_name, parameter in module.model.named_parameters():
        assert not torch.equal(parameter, before[parameter_name]), parameter_name
    assert (module.counters.steps, module.counters.tokens) == (3, 3 * 3 * LENGTH)
    assert module.counters.sequential_flops == 3 * 3 * module.model.sequential_flops(LENGTH)
    again, every = load_module(path), torch.arange(LENGTH)
    assert isinstance(again, BaselineModule)
    assert torch.equal(again.model.outputs(batch.inputs, every), module.model.outputs(batch.inputs, every))


@pytest.mark.parametrize("name", MODELS)
def test_it_is_evaluated_under_the_reading_model_alone(make_trainer, name):
    module = baseline(name)
    (found,) = make_trainer().validate(module, datamodule=Batches(), verbose=False)
    assert found.keys() == {"val/model/loss", "val/model/bits", "val/model/accuracy"}
    (batch,) = Batches().val_dataloader()
    with torch.no_grad():
        logits = module.eval().model.outputs(batch.inputs, torch.arange(LENGTH))[batch.mask]
    targets = batch.targets[batch.mask]
    assert found["val/model/loss"] == pytest.approx(F.cross_entropy(logits, targets).item(), rel=1e-5)
    assert found["val/model/accuracy"] == pytest.approx((logits.argmax(-1) == targets).float().mean().item())


def test_its_predictions_of_single_samples_have_the_validations_mean(make_trainer):
    module = baseline()
    (rows,) = make_trainer().predict(module, datamodule=Batches())
    (found,) = make_trainer().validate(module, datamodule=Batches(), verbose=False)
    assert rows["index"].tolist() == [0, 1, 2]
    mean = (rows["loss"] * rows["targets"]).sum() / rows["targets"].sum()
    assert mean.item() == pytest.approx(found["val/model/loss"], rel=1e-5)


@pytest.mark.parametrize("name", ["linear recurrence", "causal transformer"])
def test_a_trained_baseline_generates_what_its_outputs_find_likeliest(train, name):
    model = load_module(train(baseline(name), "baseline")).model
    prompt = torch.tensor([[1, 2], [3, 0]])
    written = prompt
    for _ in range(4):
        last = torch.tensor([written.shape[1] - 1])
        written = torch.cat([written, model.outputs(written, last).argmax(-1)], dim=1)
    assert torch.equal(generate_tokens(model, prompt, 4, temperature=0), written[:, 2:])


def test_a_model_without_a_stream_is_trained_but_generates_nothing(train):
    path = train(baseline("user's"), "baseline")
    assert not isinstance(load_module(path).model, StreamingModel)
    with pytest.raises(ValueError, match=r"has no model that takes in one token after the other; give a checkpoint of"):
        generate_samples(path)


def test_it_can_start_from_a_baseline_with_the_same_model(train, make_trainer):
    path = train(baseline(), "first")
    first, second = load_module(path), baseline(init_from=str(path))
    make_trainer(1, limit_train_batches=0).fit(second, datamodule=Batches())
    for name, weights in first.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], weights), name
    assert second.counters.steps == 3
    assert [entry["stage"] for entry in second.provenance] == ["baseline"]


@pytest.mark.parametrize("source", ["another baseline", "smt"])
def test_it_does_not_start_from_another_model(train, make_trainer, source):
    other = SMTModule(interface=INTERFACE, network=NETWORK) if source == "smt" else baseline("causal transformer")
    module = baseline(init_from=str(train(other, "other")))
    with pytest.raises(
        ValueError, match=r"^init_from is .*other\.ckpt, whose model\.class_path is .*, but here it is "
    ):
        make_trainer(1).fit(module, datamodule=Batches())


class Headless(nn.Module):
    """No sequence model: it has a forward pass alone."""

    def __init__(self, interface):
        super().__init__()
        self.layer = interface.outputs.head(4)

    def forward(self, inputs):
        return self.layer(inputs)


def test_a_module_that_is_no_sequence_model_is_refused_in_one_sentence():
    sentence = (
        "model.model is Headless, which is no memtrain.networks.SequenceModel; give it head, outputs(inputs, "
        "timesteps) and sequential_flops(length)."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        BaselineModule(interface=INTERFACE, model=Headless)


def test_a_model_that_no_checkpoint_can_record_is_refused():
    with pytest.raises(ValueError, match=r"^model\.model is <function .*>, but must be a subclass of torch\.nn\."):
        BaselineModule(interface=INTERFACE, model=lambda interface: WindowModel(interface))
