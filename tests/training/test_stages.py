"""The stages under a real Trainer: what is trained, what is handed on, what is recorded."""

from functools import partial

import pytest
import torch
from lightning import seed_everything
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy
from tiny import INTERFACE, NETWORK, Batches, random_batch
from torch.utils.data import DataLoader

from memtrain.checkpoints import load_checkpoint, load_source
from memtrain.data import Retrieval
from memtrain.networks import Interface, NetworkOptions
from memtrain.networks.cells import GRUCell, TransformerCell
from memtrain.training import BPTTModule, DMTModule, SMTModule, TeacherModule
from memtrain.training.loading import load_module
from memtrain.training.optimization import clip, gradient_norms, trainable
from memtrain.training.step import Step
from memtrain.training.trainer_options import require_trainer
from memtrain.trajectory import Detached, Picard, Windows

ALL = [
    (TeacherModule, {}),
    (SMTModule, {}),
    (SMTModule, {"freeze_teacher": True}),
    (DMTModule, {}),
    (DMTModule, {"windows": Windows()}),
    (DMTModule, {"trajectory": Detached(), "windows": Windows()}),
    (DMTModule, {"windows": Windows(starts=4, length=[2, 4])}),
    (DMTModule, {"trajectory": Picard(sweeps=2), "windows": Windows()}),
    (BPTTModule, {}),
    (BPTTModule, {"windows": Windows(starts=4, length=3)}),
    (
        BPTTModule,
        {
            "network": NetworkOptions(
                width=8, memory_tokens=1, memory_normalization="tanh", readout="linear", cell=GRUCell
            )
        },
    ),
]


def make(stage, **options):
    return stage(**{"interface": INTERFACE, "network": NETWORK} | options)


@pytest.mark.parametrize(("stage", "options"), ALL)
def test_gradients_reach_every_trainable_parameter_and_no_frozen_one(stage, options, make_trainer):
    torch.manual_seed(0)
    module = make(stage, **options)
    module.trainer = make_trainer()
    sum(module.losses(Step.alone(random_batch(seed, size=8))).loss for seed in range(3)).backward()
    grouped = {id(p) for params in trainable(module.networks).values() for p in params}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            assert id(parameter) in grouped, name
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
        else:
            assert parameter.grad is None, name


def test_a_chain_of_stages_hands_on_networks_counters_and_provenance(train):
    teacher = train(make(TeacherModule), "teacher")
    smt = train(SMTModule(interface=INTERFACE, init_from=str(teacher)), "smt")
    dmt = train(DMTModule(interface=INTERFACE, init_from=str(smt), windows=Windows(length=4)), "dmt")
    bptt = train(BPTTModule(interface=INTERFACE, init_from=str(dmt)), "bptt")
    record = load_checkpoint(bptt)["memtrain"]
    assert [entry["stage"] for entry in record["provenance"]] == ["teacher", "smt", "dmt"]
    assert [entry["step"] for entry in record["provenance"]] == [3, 3, 3]
    assert record["provenance"][0]["path"] == str(teacher)
    assert record["counters"]["steps"] == 12
    assert record["counters"]["tokens"] == 12 * 3 * 7
    assert record["counters"]["gradient_steps"] == 7
    assert record["counters"]["train_seconds"] > 0
    network = load_source(bptt).options("network", NetworkOptions)
    assert (network.width, network.memory_tokens, network.short_convolution) == (8, 2, 2)
    assert network.to_primitive()["cell"]["class_path"].endswith("TransformerCell")


def test_dmt_leaves_the_teacher_bit_for_bit_as_it_was_and_moves_the_rnn(train):
    smt = train(make(SMTModule), "smt")
    dmt = train(DMTModule(interface=INTERFACE, init_from=str(smt)), "dmt")
    before, after = load_checkpoint(smt)["state_dict"], load_checkpoint(dmt)["state_dict"]
    assert all(torch.equal(before[key], after[key]) for key in before if key.startswith("teacher."))
    assert not torch.equal(before["rnn.cell.transformer.norm.weight"], after["rnn.cell.transformer.norm.weight"])
    assert not torch.equal(before["rnn.readout.head.weight"], after["rnn.readout.head.weight"])


@pytest.mark.parametrize(("stage", "options"), [(DMTModule, {}), (SMTModule, {"freeze_teacher": True})])
def test_a_frozen_teacher_is_in_evaluation_mode_before_and_after_a_validation(stage, options, train):
    smt = train(make(SMTModule), "smt")
    modes = []

    class Modes(Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            modes.append((pl_module.training, any(module.training for module in pl_module.teacher.modules())))

    module = stage(interface=INTERFACE, init_from=str(smt), **options)
    train(module, "frozen", callbacks=[Modes()], val_check_interval=1)  # and a validation after each step
    assert modes == [(True, False)] * 3


def test_the_readout_after_smt_is_a_copy_of_the_teachers_decoder(train):
    state = load_checkpoint(train(make(SMTModule), "smt"))["state_dict"]
    copied = [key for key in state if key.startswith("rnn.readout.")]
    assert copied
    assert all(torch.equal(state[key], state[key.replace("rnn.readout", "teacher.decoder")]) for key in copied)


def test_evaluation_after_fit_is_of_the_trained_network_not_of_the_source(train, make_trainer):
    smt = train(make(SMTModule), "smt")
    module = DMTModule(interface=INTERFACE, init_from=str(smt))
    train(module, "dmt")
    steps, weight = module.counters.steps, module.rnn.embedding.weight.clone()
    make_trainer().test(module, datamodule=Batches(), verbose=False)
    assert module.counters.steps == steps
    assert torch.equal(module.rnn.embedding.weight, weight)


def test_a_module_is_rebuilt_from_its_checkpoint_alone(train, make_trainer):
    cell = partial(TransformerCell, layers=1, heads=2, head_dimension=4)
    network = NetworkOptions(width=8, memory_tokens=2, heads=2, head_dimension=4, cell=cell)
    path = train(make(SMTModule, network=network, dynamics_weight=0.3), "smt")
    module = load_module(path)
    assert isinstance(module, SMTModule)
    assert module.dynamics_weight == 0.3
    assert len(module.rnn.cell.transformer.blocks) == 1
    metrics = [make_trainer().test(m, datamodule=Batches(), verbose=False)[0] for m in (module, load_module(path))]
    assert metrics[0] == metrics[1]


def test_every_stage_logs_the_same_names(train, make_trainer):
    smt = train(make(SMTModule), "smt")
    names = []
    for stage in (SMTModule, DMTModule):
        module = stage(interface=INTERFACE, init_from=str(smt))
        names.append(set(make_trainer().test(module, datamodule=Batches(), verbose=False)[0]))
    assert names[0] == names[1]
    kinds = {}
    for stage in (TeacherModule, BPTTModule):  # of one network alone
        tested = make_trainer().test(make(stage), datamodule=Batches(), verbose=False)[0]
        assert set(tested) < names[0]
        kinds[stage] = {name.split("/")[1] for name in tested}
    assert kinds == {TeacherModule: {"teacher", "memory"}, BPTTModule: {"rollout", "memory"}}
    tested = make_trainer().test(make(BPTTModule), datamodule=Batches(), verbose=False)[0]
    assert tested["test/memory/uniformity"] == tested["test/rollout/uniformity"]  # of the only memories there are
    assert {
        f"test/{kind}/{name}" for kind in ("teacher", "one_step", "rollout") for name in ("loss", "bits", "accuracy")
    } < names[0]
    assert {
        "test/drift/mean",
        "test/drift/equilibrium",
        "test/drift/relative",
        "test/drift/functional",
        "test/memory/uniformity",
        "test/rollout/uniformity",
        "test/rollout/effective_rank",
    } < names[0]


def test_teacher_and_rnn_gradients_are_clipped_separately(make_trainer):
    module = make(SMTModule)
    module.trainer = make_trainer()
    optimizer = module.configure_optimizers()["optimizer"]
    scales = {"teacher": 100.0, "rnn": 1e-3}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, scales[group["name"]])
    untouched = optimizer.param_groups[1]["params"][0].grad.clone()
    clip(optimizer, gradient_norms(optimizer, scaler=None), largest=0.5)
    norm = torch.stack([p.grad.norm() for p in optimizer.param_groups[0]["params"]]).norm()
    torch.testing.assert_close(norm, torch.tensor(0.5))
    assert torch.equal(optimizer.param_groups[1]["params"][0].grad, untouched)


def test_the_shared_readout_is_optimized_once_in_smt():
    groups = trainable(make(SMTModule).networks)
    ids = [id(p) for params in groups.values() for p in params]
    assert len(ids) == len(set(ids))


class Stop(Callback):
    """Stops a run in the middle of its epoch, as a signal would."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        trainer.should_stop = trainer.global_step == 3


@pytest.mark.parametrize("stage", [TeacherModule, SMTModule, DMTModule, BPTTModule])
def test_a_resumed_run_is_bit_identical_to_an_uninterrupted_one(stage, make_trainer, tmp_path):
    def run(stage, callbacks=(), path=None, **options):
        seed_everything(0, verbose=False)
        trainer = make_trainer(6, list(callbacks))
        module = make(stage, interface=Interface.of_tokens(9), schedule="cosine", **options)
        data = Retrieval(length=8, batch_size=4, evaluation_samples=8)
        trainer.fit(module, datamodule=data, ckpt_path=path, weights_only=True)
        return trainer, module

    options = {}
    if stage in (DMTModule, BPTTModule):
        run(SMTModule)[0].save_checkpoint(tmp_path / "smt.ckpt")
        options = {"windows": Windows(starts=3, length=[2, 4]), "init_from": str(tmp_path / "smt.ckpt")}
    _, whole = run(stage, **options)
    trainer, _ = run(stage, [Stop()], **options)
    assert trainer.global_step == 3
    trainer.save_checkpoint(tmp_path / "part.ckpt")
    trainer, resumed = run(stage, path=tmp_path / "part.ckpt", **options)
    assert trainer.global_step == 6
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
    assert resumed.counters.steps == whole.counters.steps == (12 if options else 6)
    assert resumed.counters.tokens == whole.counters.tokens
    assert resumed.counters.sequential_flops == whole.counters.sequential_flops


def test_a_network_of_another_size_than_the_source_is_refused(train):
    smt = train(make(SMTModule), "smt")
    module = make(DMTModule, network=NetworkOptions(width=4, memory_tokens=2), init_from=str(smt))
    with pytest.raises(ValueError, match=r"network.width is 8, but here it is 4; leave out model.network"):
        train(module, "dmt")


@pytest.mark.parametrize(
    ("stage", "options"),
    [(DMTModule, {}), (SMTModule, {"freeze_teacher": True}), (BPTTModule, {"windows": Windows(starts=4, length=2)})],
)
def test_a_stage_that_imitates_a_teacher_is_refused_without_one(stage, options, train):
    with pytest.raises(ValueError, match=r"init_from is null, but stage .* needs a trained teacher"):
        train(make(stage, **options), "none")


def test_data_of_another_vocabulary_than_the_source_is_refused(train):
    smt = train(make(SMTModule), "smt")
    with pytest.raises(
        ValueError,
        match="with 5 tokens in, 5 classes out, but the data have 9 tokens in",
    ):
        train(DMTModule(interface=Interface.of_tokens(9), init_from=str(smt)), "dmt")


def test_options_of_the_cell_that_differ_from_the_source_are_refused_even_where_sizes_agree(train):
    def network(heads):
        cell = partial(TransformerCell, heads=heads, head_dimension=8 // heads)
        return NetworkOptions(width=8, memory_tokens=2, heads=2, head_dimension=4, cell=cell)

    smt = train(make(SMTModule, network=network(2)), "smt")
    with pytest.raises(ValueError, match=r"network.cell is .*'heads': 2.* but here it is .*'heads': 4"):
        train(make(DMTModule, network=network(1 * 4), init_from=str(smt)), "dmt")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max_steps": -1}, "trainer.max_steps is -1"),
        ({"precision": "bf16-true"}, "trainer.precision is bf16-true, .* set it to bf16-mixed"),
        ({"gradient_clip_val": 0.1}, "gradient_clip_val is 0.1, .* set model.clip instead"),
        ({"accumulate_grad_batches": 2}, "accumulate_grad_batches is 2, .* instead set model.micro_batches"),
    ],
)
def test_trainer_options_that_break_a_stage_are_refused(options, sentence, train):
    with pytest.raises(ValueError, match=sentence):
        train(make(SMTModule), "smt", **options)


@pytest.mark.parametrize("strategy", [FSDPStrategy, DeepSpeedStrategy])
def test_a_strategy_that_cuts_tensors_up_is_refused(strategy, make_trainer, monkeypatch):
    trainer = make_trainer(1)
    require_trainer(trainer)
    monkeypatch.setattr(type(trainer), "strategy", strategy.__new__(strategy))
    with pytest.raises(ValueError, match=rf"trainer.strategy is {strategy.__name__}, .* set it to auto or ddp"):
        require_trainer(trainer)


def test_a_negative_clip_which_would_turn_gradients_round_is_refused():
    with pytest.raises(
        ValueError, match=r"model.clip is -1.0, but must be at least 0; choose for example 1, or 0 for no clipping"
    ):
        make(SMTModule, clip=-1.0)


def test_dmt_from_a_teacher_without_an_rnn_is_refused(train):
    teacher = train(make(TeacherModule), "teacher")
    with pytest.raises(ValueError, match="stage teacher without rnn; give one of stage smt or dmt"):
        train(DMTModule(interface=INTERFACE, init_from=str(teacher)), "dmt")


@pytest.mark.parametrize(
    ("stage", "options", "sentence"),
    [
        (SMTModule, {"timesteps_per_sequence": 0}, "timesteps_per_sequence is 0"),
        (SMTModule, {"network": NetworkOptions(readout="linear")}, "network.readout is linear"),
        (SMTModule, {"timestep_sampling": "targets", "timesteps_per_sequence": 1}, "timesteps_per_sequence is 1"),
        (BPTTModule, {"micro_batches": 0}, "micro_batches is 0"),
    ],
)
def test_impossible_options_are_refused_in_a_sentence(stage, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(stage, **options)


def test_labels_further_apart_than_the_sequence_is_long_are_refused(train):
    with pytest.raises(ValueError, match="label_stride is 8, but the data's sequences have 7 timesteps"):
        train(make(BPTTModule, windows=Windows(label_stride=8)), "bptt")


class LastTargetAlone(Batches):
    """Batches whose only target is the last timestep's."""

    def train_dataloader(self):
        batches = [random_batch(seed) for seed in range(100)]
        for batch in batches:
            batch.mask[:, :-1] = False
        return DataLoader(batches, batch_size=None)


@pytest.mark.parametrize(
    ("windows", "sentence"),
    [
        (Windows(label_stride=4), "label_stride is 4 and model.windows.length 7, but in 10 steps no labeled timestep"),
        (Windows(length=6), "label_stride is 1 and model.windows.length 6, but in 10 steps no labeled timestep"),
    ],
)
def test_bptt_whose_labels_never_bear_a_target_stops(windows, sentence, make_trainer):
    with pytest.raises(ValueError, match=sentence):
        make_trainer(20).fit(make(BPTTModule, windows=windows), datamodule=LastTargetAlone())
    make_trainer(20).fit(make(BPTTModule, windows=Windows(label_stride=7)), datamodule=LastTargetAlone())


@pytest.mark.parametrize("stage", [TeacherModule, SMTModule])
def test_a_stage_that_trains_a_teacher_does_not_begin_from_a_checkpoint_without_one(stage, train):
    bptt = train(make(BPTTModule), "bptt")
    with pytest.raises(ValueError, match="a checkpoint of stage bptt without teacher"):
        train(stage(interface=INTERFACE, init_from=str(bptt)), "next")


def test_one_memory_has_no_uniformity(make_trainer):
    module = make(SMTModule, timesteps_per_sequence=1, uniformity_over="memories", micro_batches=3)
    with pytest.raises(ValueError, match=r"uniformity_weight is 0.001, but uniformity compares pairs"):
        make_trainer(1).fit(module, datamodule=Batches())


def test_smt_from_dmt_keeps_the_teachers_decoder(train, make_trainer):
    smt = train(make(SMTModule), "smt")
    dmt = train(DMTModule(interface=INTERFACE, init_from=str(smt), warmup_steps=0), "dmt")
    module = SMTModule(interface=INTERFACE, init_from=str(dmt), freeze_teacher=True)
    module.trainer = make_trainer()
    module.setup("fit")
    state = torch.load(dmt, weights_only=True)["state_dict"]
    decoder = {name.removeprefix("teacher."): value for name, value in state.items() if name.startswith("teacher.")}
    assert any(not torch.equal(value, state["rnn.readout." + name.removeprefix("decoder.")])
               for name, value in decoder.items() if name.startswith("decoder."))  # fmt: skip
    torch.testing.assert_close(module.teacher.state_dict(), decoder, rtol=0, atol=0)


def test_where_the_loss_is_scaled_the_optimizer_leaves_unscaling_to_lightning(make_trainer):
    """A fused step would unscale by itself, after gradients have been clipped."""
    module = make(SMTModule)
    module.trainer = make_trainer()
    assert module.configure_optimizers()["optimizer"].defaults["fused"]
    module.trainer.precision_plugin.scaler = torch.amp.GradScaler("cpu")
    assert not module.configure_optimizers()["optimizer"].defaults["fused"]


def test_a_stage_holds_no_weights_of_its_source_beside_its_own(train, make_trainer):
    smt = train(make(SMTModule), "smt")
    module = DMTModule(interface=INTERFACE, init_from=str(smt))
    assert set(module.source.checkpoint) == {"state_dict", "memtrain", "hyper_parameters", "global_step"}
    make_trainer(1).fit(module, datamodule=Batches())
    assert "state_dict" not in module.source.checkpoint
    assert module.source.counters["steps"] == 3
