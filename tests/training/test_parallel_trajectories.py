"""BPTT and DMT by parallel trajectories: the same losses and gradients as step after step, and a bridge from SMT."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from lightning import seed_everything
from lightning.pytorch.callbacks import Callback
from tiny import NETWORK, VOCABULARY, Batches

from memtrain.metrics.flops import bptt_flops, dmt_flops, encoder_flops
from memtrain.networks.cells import GRUCell, MLPCell, ParaGRUCell, ParaLSTMCell, TransformerCell
from memtrain.networks.generation import generate_tokens
from memtrain.training import BPTTModule, DMTModule, SMTModule
from memtrain.training.loading import load_module
from memtrain.trajectory import NewtonOptions, Trajectory, sequential
from memtrain.trajectory.scan import scan_flops

GATED = replace(NETWORK, memory_normalization="tanh")
NETWORKS = {
    "transformer": replace(NETWORK, cell=partial(TransformerCell, layers=1, heads=2, head_dimension=4)),
    "gru": replace(GATED, cell=GRUCell),
    "para_gru": replace(GATED, cell=ParaGRUCell),
    "para_lstm": replace(GATED, cell=ParaLSTMCell),
}
EXACT = NewtonOptions(tolerance=1e-12)
WAYS = {
    "newton": {"trajectory": "newton", "newton": EXACT},
    "diagonal newton": {"trajectory": "newton", "newton": replace(EXACT, jacobian="diagonal", guess="input")},
    "scan adjoint": {"adjoint": "scan"},
}


def make(stage, network="para_gru", **options):
    return stage(vocabulary_size=VOCABULARY, network=NETWORKS[network], warmup_steps=2, **options)


class Curve(Callback):
    """The training loss of every step."""

    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item())


def loss_curve(make_trainer, stage, steps=20, **options):
    seed_everything(0, verbose=False)
    module, curve = make(stage, **options), Curve()
    module.requires = lambda: ()  # DMT on a teacher that has not been trained
    trainer = make_trainer(steps, callbacks=[curve], precision="64-true", limit_val_batches=0)
    trainer.fit(module, datamodule=Batches())
    return torch.tensor(curve.losses), module


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("stage", [BPTTModule, DMTModule])
def test_loss_curves_agree_between_trajectories(make_trainer, stage, network):
    expected, _ = loss_curve(make_trainer, stage, network=network, adjoint="autograd")
    assert expected[-1] != expected[0]
    for way in WAYS.values():
        losses, _ = loss_curve(make_trainer, stage, network=network, **way)
        torch.testing.assert_close(losses, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"gradient": "detached"},
        {"start": "teacher", "rollout_length": 3, "label_stride": 2},
        {"start": "teacher", "rollout_length": [2, 4], "gradient": "detached"},
    ],
)
def test_detached_gradients_and_windows_are_those_of_the_sequential_rollout(make_trainer, options):
    expected, _ = loss_curve(make_trainer, DMTModule, 4, **options)
    for guess in ("best", "teacher"):
        way = {"trajectory": "newton", "newton": replace(EXACT, guess=guess)}
        losses, _ = loss_curve(make_trainer, DMTModule, 4, **way, **options)
        torch.testing.assert_close(losses, expected, rtol=1e-6, atol=1e-6)


def test_all_sweeps_of_picard_are_the_rollout_too(make_trainer):
    expected, _ = loss_curve(make_trainer, DMTModule, 4)
    losses, _ = loss_curve(make_trainer, DMTModule, 4, trajectory="picard", sweeps=7)
    torch.testing.assert_close(losses, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("network", ["para_gru", "para_lstm"])
def test_the_parallel_cells_go_through_all_stages(train, network):
    path = train(make(SMTModule, network), "smt")
    for name, stage in (("dmt", DMTModule), ("bptt", BPTTModule)):
        module = make(stage, network, trajectory="newton", init_from=str(path))
        before = {name: p.clone() for name, p in module.rnn.cell.named_parameters()}
        path = train(module, name)
        for parameter_name, parameter in module.rnn.cell.named_parameters():
            assert not torch.equal(parameter, before[parameter_name]), parameter_name
    tokens = generate_tokens(load_module(path).rnn, torch.tensor([[1, 2]]), length=3)
    assert tokens.shape == (1, 3)


# Teacher forcing


@pytest.fixture
def in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("in_float64")
def test_alpha_one_is_one_step_training_and_alpha_zero_the_rollout(batch, make_trainer):
    module = make(DMTModule, trajectory="newton", newton=EXACT, teacher_forcing=[1.0, 0.0])
    module.trainer = make_trainer(2)
    memories = module.teacher.encode(batch.inputs, torch.arange(7))
    embeddings = module.rnn.embed(batch.inputs)
    fed = torch.cat([module.rnn.initial_memory(3).unsqueeze(1), memories[:, :-1]], dim=1)
    torch.testing.assert_close(module.roll(batch).states, module.rnn.step(fed, embeddings))
    module.forcing = [0.0]
    rollout = module.rnn.cell.rollout(module.rnn.initial_memory(3), embeddings)
    torch.testing.assert_close(module.roll(batch).states, rollout)


def test_teacher_forcing_goes_through_its_values_over_the_stage(make_trainer):
    class Alphas(Callback):
        seen: list[float]

        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            self.seen.append(round(module.alpha(), 6))

    module, alphas = make(DMTModule, trajectory="newton", teacher_forcing=[1.0, 0.5, 0.0, 0.0]), Alphas()
    module.requires = lambda: ()
    alphas.seen = []
    make_trainer(7, callbacks=[alphas], limit_val_batches=0).fit(module, datamodule=Batches())
    assert alphas.seen == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("gradient", ["through_time", "detached"])
def test_detached_or_not_the_forced_states_are_the_same(batch, make_trainer, gradient):
    module = make(DMTModule, trajectory="newton", newton=replace(EXACT, alpha=0.5, tolerance=1e-6), gradient=gradient)
    module.trainer = make_trainer()
    memories = module.teacher.encode(batch.inputs, torch.arange(7))
    memory, expected = module.rnn.initial_memory(3), []
    for t in range(7):
        fed = memory if t == 0 else (memory + memories[:, t - 1]) / 2
        memory = module.rnn.step(fed, module.rnn.embed(batch.inputs[:, t : t + 1])[:, 0])
        expected.append(memory)
    torch.testing.assert_close(module.roll(batch).states, torch.stack(expected, dim=1), rtol=1e-4, atol=1e-5)


# Records


def test_iterations_residual_and_fallback_are_logged(make_trainer):
    _, module = loss_curve(make_trainer, BPTTModule, 2, trajectory="newton", newton=replace(EXACT, exponent=True))
    logged = module.trainer.logged_metrics
    assert logged["train/newton_exponent"].isfinite()
    assert 1 <= logged["train/newton_iterations"] <= 7
    assert logged["train/newton_residual"] <= 1e-12
    assert logged["train/newton_fallback"] == 0


def test_what_newton_says_is_of_all_micro_batches(monkeypatch, make_trainer):
    # of each: steps, FLOPs of scans, iterations, residual, error, fallback
    said = [(3, 10, 2, 1e-7, 0.1, 0), (9, 30, 6, 1e-6, 0.5, 2), (4, 70, 1, 1e-8, 0.2, 0)]

    def roll_out(cell, memory, embeddings, labels, **options):
        steps, scans, *found = said[len(module.solved)]
        states = sequential(cell, memory, embeddings).states
        names = ("iterations", "residual", "error", "fallback")
        values = {name: torch.tensor([value]) for name, value in zip(names, found, strict=True)}
        return Trajectory.known(states, steps, scan_flops=scans, **values)

    monkeypatch.setattr("memtrain.training.rollout.roll_out", roll_out)
    module = make(BPTTModule, trajectory="newton", micro_batches=3)
    make_trainer(1).fit(module, datamodule=Batches())
    logged = module.trainer.logged_metrics
    assert module.newton_steps == 9
    assert module.counters.sequential_flops == bptt_flops(module.rnn, 9, through_time=False) + 70
    assert logged["train/newton_iterations"] == 3
    assert logged["train/newton_residual"] == torch.tensor(1e-6)
    assert logged["train/newton_error"] == torch.tensor(0.5)
    assert logged["train/newton_fallback"] == torch.tensor(1 / 3)


def test_memories_that_no_guess_reads_are_not_encoded(monkeypatch, make_trainer, batch):
    encoded = []
    module = make(DMTModule, trajectory="newton", newton=NewtonOptions(guess="zeros"), label_stride=7)
    module.trainer = make_trainer()
    encode = module.teacher.encode
    monkeypatch.setattr(module.teacher, "encode", lambda x, at: encoded.append(at.tolist()) or encode(x, at))
    module.losses(batch)
    assert encoded == [[6]]


def scanned_block(cell) -> tuple[int, int]:
    """Numbers of a memory, and rows of a block of its Jacobian."""
    return cell.width * cell.memory_tokens, cell.components


def test_counters_know_what_was_sequential(batch, make_trainer):
    """Newton's evaluations and scans follow one another, its backward pass is one of each; the gradient still spans
    the rollout.
    """
    for stage in (BPTTModule, DMTModule):
        module = make(stage, trajectory="newton")
        module.trainer = make_trainer()
        module.losses(batch)
        updates = module.newton_steps - 3  # two evaluations for the best guess, one after the last update
        assert 1 <= updates <= 7
        assert module.scan_flops == (updates + 1) * scan_flops(*scanned_block(module.rnn.cell), 7, "chunked")
        expected = (
            bptt_flops(module.rnn, module.newton_steps, through_time=False)
            if stage is BPTTModule
            else dmt_flops(module.teacher, module.rnn, 7, module.newton_steps, through_time=False)
        )
        assert module.sequential_flops(batch) == expected + module.scan_flops
        assert module.counters.gradient_steps == 7
    _, module = loss_curve(make_trainer, BPTTModule, 1, trajectory="newton", newton=EXACT)
    expected = bptt_flops(module.rnn, module.newton_steps, through_time=False) + module.scan_flops
    assert module.counters.sequential_flops == expected
    scanned, unrolled = make(BPTTModule), make(BPTTModule, adjoint="autograd")
    for module, through_time in ((scanned, False), (unrolled, True)):
        module.trainer = make_trainer()
        module.losses(batch)
        scans = 0 if through_time else scan_flops(*scanned_block(module.rnn.cell), 7, "chunked")
        assert module.sequential_flops(batch) == bptt_flops(module.rnn, 7, through_time) + scans
        assert module.counters.gradient_steps == 7


def test_a_truncated_gradient_goes_step_after_step(batch, make_trainer):
    module = make(BPTTModule, truncation=3)
    module.trainer = make_trainer()
    assert module.sequential_flops(batch) == bptt_flops(module.rnn, 7, truncation=3)


def test_so_does_one_from_the_teachers_memories(batch, make_trainer):
    module = make(BPTTModule, start="teacher", rollout_length=6, truncation=3)
    module.trainer = make_trainer()
    whole = encoder_flops(module.teacher, 7) + bptt_flops(module.rnn, 6, truncation=3)
    assert module.sequential_flops(batch) == whole


def test_a_checkpoint_rebuilds_the_options_of_newton(train):
    options = NewtonOptions(jacobian="diagonal", tolerance=1e-4, window=None)
    path = train(make(BPTTModule, trajectory="newton", newton=options, teacher_forcing=[0.0]), "newton")
    module = load_module(path)
    assert module.newton == options
    assert module.forcing == [0.0]


# Refusals


@pytest.mark.parametrize(
    ("stage", "options", "match"),
    [
        (DMTModule, {"teacher_forcing": [1.0, 0.0]}, r"teacher_forcing is .*, but trajectory is sequential"),
        (DMTModule, {"trajectory": "newton", "teacher_forcing": [2.0]}, r"newton\.alpha is 2\.0, but must lie between"),
        (DMTModule, {"trajectory": "newton", "teacher_forcing": []}, "teacher_forcing is empty"),
        (BPTTModule, {"adjoint": "scan", "truncation": 2}, "adjoint is scan, but truncation is 2"),
        (BPTTModule, {"trajectory": "newton", "truncation": 2}, "truncation is 2, but needs"),
    ],
)
def test_what_does_not_go_together_is_refused(stage, options, match):
    with pytest.raises(ValueError, match=match):
        make(stage, **options)


class Forgetful(MLPCell):
    """Its dropout draws anew at each call."""

    def step(self, memory, embedding):
        return torch.nn.functional.dropout(super().step(memory, embedding), 0.5, self.training)


@pytest.mark.parametrize("options", [{"trajectory": "newton"}, {"adjoint": "scan"}])
def test_a_cell_that_draws_random_numbers_is_refused_where_it_is_evaluated_twice(options):
    with pytest.raises(ValueError, match=r"Forgetful, whose step draws random numbers, .* adjoint to autograd"):
        BPTTModule(vocabulary_size=VOCABULARY, network=replace(NETWORK, cell=Forgetful), **options)
    BPTTModule(vocabulary_size=VOCABULARY, network=replace(NETWORK, cell=Forgetful))
    BPTTModule(vocabulary_size=VOCABULARY, network=replace(NETWORK, cell=MLPCell), **options)


class Masked(ParaGRUCell):
    """Its dropout is of the inputs, which all evaluations of a rollout share; it takes memories in (-1, 1) alone."""

    def project(self, embedding):
        return torch.nn.functional.dropout(super().project(embedding), 0.5, self.training)

    def update(self, memory, projected):
        return super().update(memory.atanh().tanh(), projected)


class Noisy(Masked):
    """Its dropout is of each memory."""

    def update(self, memory, projected):
        return torch.nn.functional.dropout(super().update(memory, projected), 0.5, self.training)


def test_a_parallel_cell_that_draws_random_numbers_in_its_update_alone_is_refused():
    network = replace(NETWORK, memory_normalization="tanh")
    BPTTModule(vocabulary_size=VOCABULARY, network=replace(network, cell=Masked))
    BPTTModule(vocabulary_size=VOCABULARY, network=replace(network, cell=Noisy), truncation=2)  # no scan
    with pytest.raises(ValueError, match="Noisy, whose step draws random numbers"):
        BPTTModule(vocabulary_size=VOCABULARY, network=replace(network, cell=Noisy))


@pytest.mark.parametrize("options", [{"trajectory": "newton"}, {"adjoint": "scan"}])
def test_a_cell_that_is_too_large_for_newton_is_refused_before_training(options):
    network = replace(NETWORK, width=64)
    with pytest.raises(ValueError, match=r"TransformerCell has 128 numbers, .* set trajectory to sequential or picard"):
        BPTTModule(vocabulary_size=VOCABULARY, network=network, **options)
