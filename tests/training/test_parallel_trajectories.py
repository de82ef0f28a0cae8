"""BPTT and DMT by parallel trajectories: the same losses and gradients as step after step, and a bridge from SMT."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from lightning import seed_everything
from lightning.pytorch.callbacks import Callback
from tiny import INTERFACE, NETWORK, Batches

from memtrain.networks.cells import GRUCell, MLPCell, ParaGRUCell, ParaLSTMCell, TransformerCell
from memtrain.networks.flops import input_flops, readout_flops, update_flops
from memtrain.networks.generation import generate_tokens
from memtrain.scan import scan_flops
from memtrain.training import BPTTModule, DMTModule, SMTModule
from memtrain.training.loading import load_module
from memtrain.training.step import Step
from memtrain.trajectory import Detached, Newton, NewtonTrajectory, Picard, Sequential, Solver, Windows, rollout

GATED = replace(NETWORK, memory_normalization="tanh")
NETWORKS = {
    "transformer": replace(NETWORK, cell=partial(TransformerCell, layers=1, heads=2, head_dimension=4)),
    "gru": replace(GATED, cell=GRUCell),
    "para_gru": replace(GATED, cell=ParaGRUCell),
    "para_lstm": replace(GATED, cell=ParaLSTMCell),
}
EXACT = Newton(tolerance=1e-12)
WAYS = {
    "newton": EXACT,
    "diagonal newton": replace(EXACT, jacobian="diagonal", guess="input"),
    "scan adjoint": Sequential(adjoint="scan"),
}


def make(stage, network="para_gru", **options):
    """A stage on whole rollouts, if nothing else is said."""
    whole = {} if stage is SMTModule else {"windows": Windows()}
    return stage(interface=INTERFACE, network=NETWORKS[network], warmup_steps=2, **whole | options)


@pytest.fixture
def solved(monkeypatch) -> list[tuple[Newton, NewtonTrajectory]]:
    """Each solver that is used, and what it finds."""
    found, solve = [], Newton.solve

    def record(self, *args):
        found.append((self, solve(self, *args)))
        return found[-1][1]

    monkeypatch.setattr(Newton, "solve", record)
    return found


class Curve(Callback):
    """The training loss of every step."""

    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.losses.append(trainer.callback_metrics["train/loss"].item())


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
    expected, _ = loss_curve(make_trainer, stage, network=network, trajectory=Sequential(adjoint="autograd"))
    assert expected[-1] != expected[0]
    for way in WAYS.values():
        losses, _ = loss_curve(make_trainer, stage, network=network, trajectory=way)
        torch.testing.assert_close(losses, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("way", "windows"),
    [
        (Detached, Windows()),
        (lambda trajectory: trajectory, Windows(starts=4, length=3, label_stride=2)),
        (Detached, Windows(starts=4, length=[2, 4])),
    ],
)
def test_detached_gradients_and_windows_are_those_of_the_sequential_rollout(make_trainer, way, windows):
    expected, _ = loss_curve(make_trainer, DMTModule, 4, trajectory=way(Sequential()), windows=windows)
    for guess in ("best", "teacher"):
        newton = way(replace(EXACT, guess=guess))
        losses, _ = loss_curve(make_trainer, DMTModule, 4, trajectory=newton, windows=windows)
        torch.testing.assert_close(losses, expected, rtol=1e-6, atol=1e-6)


def test_all_sweeps_of_picard_are_the_rollout_too(make_trainer):
    expected, _ = loss_curve(make_trainer, DMTModule, 4)
    losses, _ = loss_curve(make_trainer, DMTModule, 4, trajectory=Picard(7))
    torch.testing.assert_close(losses, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("network", ["para_gru", "para_lstm"])
def test_the_parallel_cells_go_through_all_stages(train, network):
    path = train(make(SMTModule, network), "smt")
    for name, stage in (("dmt", DMTModule), ("bptt", BPTTModule)):
        module = make(stage, network, trajectory=Newton(), init_from=str(path))
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
def test_alpha_one_is_one_step_training_and_alpha_zero_the_rollout(batch):
    module = make(DMTModule, trajectory=replace(EXACT, teacher_forcing=[1.0, 0.0]))
    memories = module.teacher.encode(batch.inputs, torch.arange(7))
    embeddings = module.rnn.embed(batch.inputs)
    fed = torch.cat([module.rnn.initial_memory(3).unsqueeze(1), memories[:, :-1]], dim=1)
    first, last = (module.roll(Step.alone(batch, number=number, total=2)).states for number in (0, 1))
    torch.testing.assert_close(first, module.rnn.step(fed, embeddings))
    torch.testing.assert_close(last, module.rnn.cell.rollout(module.rnn.initial_memory(3), embeddings))


def test_teacher_forcing_goes_through_its_values_over_the_stage(make_trainer, solved):
    module = make(DMTModule, trajectory=Newton(teacher_forcing=[1.0, 0.5, 0.0, 0.0]))
    module.requires = lambda: ()
    make_trainer(7, limit_val_batches=0).fit(module, datamodule=Batches())
    alphas = [round(solver.teacher_forcing, 6) for solver, _ in solved]
    assert alphas == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("way", [lambda newton: newton, Detached], ids=["through time", "detached"])
def test_detached_or_not_the_forced_states_are_the_same(batch, way):
    module = make(DMTModule, trajectory=way(replace(EXACT, teacher_forcing=0.5, tolerance=1e-6)))
    memories = module.teacher.encode(batch.inputs, torch.arange(7))
    memory, expected = module.rnn.initial_memory(3), []
    for t in range(7):
        fed = memory if t == 0 else (memory + memories[:, t - 1]) / 2
        memory = module.rnn.step(fed, module.rnn.embed(batch.inputs[:, t : t + 1])[:, 0])
        expected.append(memory)
    states = module.roll(Step.alone(batch)).states
    torch.testing.assert_close(states, torch.stack(expected, dim=1), rtol=1e-4, atol=1e-5)


# Records


def test_iterations_residual_and_fallback_are_logged(make_trainer):
    _, module = loss_curve(make_trainer, BPTTModule, 2, trajectory=replace(EXACT, exponent=True))
    logged = module.trainer.logged_metrics
    assert logged["train/newton_exponent"].isfinite()
    assert 1 <= logged["train/newton_iterations"] <= 7
    assert logged["train/newton_residual"] <= 1e-12
    assert logged["train/newton_fallback"] == 0


class Said(Solver):
    """Rolls out, and says of each solution what it has been told to."""

    def __init__(self):
        # of each: steps, FLOPs of scans, iterations, residual, error, fallback
        self.left = [(3, 10, 2, 1e-7, 0.1, 0), (9, 30, 6, 1e-6, 0.5, 2), (4, 70, 1, 1e-8, 0.2, 0)]

    def solve(self, cell, memory, inputs, labels, guess=None):
        steps, scans, *found = self.left.pop(0)
        names = ("iterations", "residual", "error", "fallback")
        values = {name: torch.tensor([value]) for name, value in zip(names, found, strict=True)}
        states = rollout(cell, memory, inputs)
        return NewtonTrajectory.known(states, steps, 1, gradient_chain=7, scan_flops=scans, **values)


def test_what_newton_says_is_of_all_micro_batches(make_trainer):
    module = make(BPTTModule, trajectory=Said(), micro_batches=3)
    make_trainer(1).fit(module, datamodule=Batches())
    logged = module.trainer.logged_metrics
    # The second micro-batch has the longest chain, for an update costs more than the third's scans.
    assert module.counters.sequential_flops == chain(module, 9, 1) + 30
    assert logged["train/newton_iterations"] == 3
    assert logged["train/newton_residual"] == torch.tensor(1e-6)
    assert logged["train/newton_error"] == torch.tensor(0.5)
    assert logged["train/newton_fallback"] == torch.tensor(1 / 3)


def test_memories_that_no_guess_reads_are_not_encoded(monkeypatch, batch):
    encoded = []
    module = make(DMTModule, trajectory=Newton(guess="zeros"), windows=Windows(label_stride=7))
    encode = module.teacher.encode
    monkeypatch.setattr(module.teacher, "encode", lambda x, at: encoded.append(at.tolist()) or encode(x, at))
    module.losses(Step.alone(batch))
    assert encoded == [[6]]


def chain(module, forward: int, backward: int) -> int:
    """FLOPs of a rollout of so many updates forward and backward, of its inputs, and of one readout."""
    rnn = module.rnn
    ends = input_flops(rnn.cell) + readout_flops(rnn.readout, rnn.cell.memory_tokens)
    return (forward + 2 * backward) * update_flops(rnn.cell) + 3 * ends


SCAN = scan_flops(NETWORK.width * NETWORK.memory_tokens, 1, 7, "chunked")
"""Of a diagonal Jacobian, over seven steps."""


def test_counters_know_what_was_sequential(batch, make_trainer, solved):
    """Newton's evaluations and scans follow one another, its backward pass is one of each; the gradient still spans
    the rollout.
    """
    for stage in (BPTTModule, DMTModule):
        module = make(stage, trajectory=Newton())
        outcome, (_, found) = module.losses(Step.alone(batch)), solved[-1]
        # two evaluations for the best guess, one after the last update, one with gradient
        updates = found.sequential_steps - 4
        assert 1 <= updates <= 7
        assert found.scan_flops == (updates + 1) * SCAN
        expected = chain(module, found.sequential_steps, 1) + found.scan_flops
        if stage is DMTModule:
            expected += module.teacher.encoder.sequential_flops(7)
        assert outcome.sequential_flops == expected
        assert outcome.gradient_chain == 7
    _, module = loss_curve(make_trainer, BPTTModule, 1, trajectory=EXACT)
    _, found = solved[-1]
    assert module.counters.sequential_flops == chain(module, found.sequential_steps, 1) + found.scan_flops
    assert module.counters.gradient_steps == 7
    scanned, unrolled = make(BPTTModule), make(BPTTModule, trajectory=Sequential(adjoint="autograd"))
    for module, expected in ((scanned, chain(scanned, 8, 1) + SCAN), (unrolled, chain(unrolled, 7, 7))):
        outcome = module.losses(Step.alone(batch))
        assert outcome.sequential_flops == expected
        assert outcome.gradient_chain == 7


def test_a_truncated_gradient_goes_step_after_step(batch):
    module = make(BPTTModule, trajectory=Sequential(truncation=3))
    outcome = module.losses(Step.alone(batch))
    assert outcome.sequential_flops == chain(module, 7, 3)
    assert outcome.gradient_chain == 3


def test_so_does_one_from_the_teachers_memories(batch):
    windows = Windows(starts=4, length=6)
    module = make(BPTTModule, windows=windows, trajectory=Sequential(truncation=3))
    whole = module.teacher.encoder.sequential_flops(7) + chain(module, 6, 3)
    assert module.losses(Step.alone(batch)).sequential_flops == whole


def test_a_checkpoint_rebuilds_the_options_of_newton(train):
    newton = Newton(jacobian="diagonal", tolerance=1e-4, window=None, teacher_forcing=[0.0])
    module = load_module(train(make(BPTTModule, trajectory=newton), "newton"))
    assert module.trajectory == newton


# Refusals


class Forgetful(MLPCell):
    """Its dropout draws anew at each call."""

    def step(self, memory, embedding):
        return torch.nn.functional.dropout(super().step(memory, embedding), 0.5, self.training)


@pytest.mark.parametrize("trajectory", [Newton(), Sequential(adjoint="scan")])
def test_a_cell_that_draws_random_numbers_is_refused_where_it_is_evaluated_twice(trajectory):
    with pytest.raises(ValueError, match=r"Forgetful, whose step draws random numbers, .* adjoint autograd"):
        BPTTModule(interface=INTERFACE, network=replace(NETWORK, cell=Forgetful), trajectory=trajectory)
    BPTTModule(interface=INTERFACE, network=replace(NETWORK, cell=Forgetful))
    BPTTModule(interface=INTERFACE, network=replace(NETWORK, cell=MLPCell), trajectory=trajectory)


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
    BPTTModule(interface=INTERFACE, network=replace(network, cell=Masked))
    BPTTModule(
        interface=INTERFACE, network=replace(network, cell=Noisy), trajectory=Sequential(truncation=2)
    )  # no scan
    with pytest.raises(ValueError, match="Noisy, whose step draws random numbers"):
        BPTTModule(interface=INTERFACE, network=replace(network, cell=Noisy))


@pytest.mark.parametrize("trajectory", [Newton(), Sequential(adjoint="scan")])
def test_a_cell_that_is_too_large_for_newton_is_refused_before_training(trajectory):
    network = replace(NETWORK, width=64)
    with pytest.raises(
        ValueError, match=r"TransformerCell has 128 numbers, .* set trajectory to Picard, or to Sequential"
    ):
        BPTTModule(interface=INTERFACE, network=network, trajectory=trajectory)
