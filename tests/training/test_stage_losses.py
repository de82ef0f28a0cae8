"""The losses of each stage against the slowest possible way of writing them down."""

import pytest
import torch
from tiny import INTERFACE, NETWORK
from torch.nn import functional as F

from memtrain.batch import SequenceBatch
from memtrain.training import BPTTModule, DMTModule, SMTModule, TeacherModule
from memtrain.training.step import Step
from memtrain.trajectory import Detached, Picard, Sequential, Windows


@pytest.fixture(autouse=True)
def _double_precision():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def smt(**options) -> SMTModule:
    return SMTModule(interface=INTERFACE, network=NETWORK, **options)


def dmt(**options) -> DMTModule:
    return DMTModule(interface=INTERFACE, network=NETWORK, **{"windows": Windows()} | options)


def naive_rollout(rnn, batch: SequenceBatch, memory: torch.Tensor, first: int, last: int) -> list[torch.Tensor]:
    """Memories after inputs x_first .. x_last, one step at a time."""
    states = []
    for t in range(first, last + 1):
        memory = rnn.step(memory, rnn.embed(batch.inputs[:, t : t + 1])[:, 0])
        states.append(memory)
    return states


def test_decoding_loss_is_the_mean_over_all_valid_targets_of_all_futures(batch):
    module = smt(timesteps_per_sequence=3, uniformity_weight=0.0)
    timesteps = module.draw_timesteps(Step.alone(batch))
    losses = []
    for t in timesteps.tolist():
        memory = module.teacher.encode(batch.inputs[:, : t + 1], torch.tensor([t]))
        logits = module.teacher.decode(memory, batch.inputs[:, None, t + 1 :])[:, 0]
        for sample, targets in enumerate(batch.targets[:, t:]):
            for position, target in enumerate(targets):
                if batch.mask[sample, t + position]:
                    losses.append(F.cross_entropy(logits[sample, position], target))
    assert len(losses) > 5
    torch.testing.assert_close(module.losses(Step.alone(batch)).terms["decoding"], torch.stack(losses).mean())


@pytest.mark.parametrize("future_length", [1, 2, 50])
def test_future_length_limits_the_targets_of_a_memory(batch, future_length):
    module = smt(timesteps_per_sequence=None, future_length=future_length, uniformity_weight=0.0)
    losses = []
    for t in range(batch.inputs.shape[1]):
        memory = module.teacher.encode(batch.inputs, torch.tensor([t]))
        logits = module.teacher.decode(memory, batch.inputs[:, None, t + 1 :])[:, 0, :future_length]
        targets = batch.targets[:, t : t + future_length]
        valid = batch.mask[:, t : t + future_length]
        losses += F.cross_entropy(logits[valid], targets[valid], reduction="none").tolist()
    expected = torch.tensor(losses).mean()
    torch.testing.assert_close(module.losses(Step.alone(batch)).terms["decoding"], expected)


def test_dynamics_and_initial_losses_are_the_weighted_errors_of_single_steps(batch):
    module = smt(timesteps_per_sequence=4, dynamics_weight=0.5)
    timesteps = module.draw_timesteps(Step.alone(batch)).tolist()
    errors = []
    for t in timesteps:
        if t < batch.inputs.shape[1] - 1:
            memories = module.teacher.encode(batch.inputs, torch.tensor([t, t + 1]))
            after = module.rnn.step(memories[:, 0], module.rnn.embed(batch.inputs)[:, t + 1])
            errors.append(F.mse_loss(after, memories[:, 1]))
    first = naive_rollout(module.rnn, batch, module.rnn.initial_memory(3), 0, 0)[0]
    initial = F.mse_loss(first, module.teacher.encode(batch.inputs, torch.tensor([0]))[:, 0])
    terms = module.losses(Step.alone(batch)).terms
    torch.testing.assert_close(terms["dynamics"], 0.5 * torch.stack(errors).mean())
    torch.testing.assert_close(terms["initial"], 0.5 * initial)


@pytest.mark.parametrize(("detach", "trained"), [("none", True), ("target", True), ("both", False)])
def test_detach_decides_whether_the_dynamics_loss_trains_the_teacher(batch, detach, trained):
    module = smt(detach=detach)
    module.losses(Step.alone(batch)).terms["dynamics"].backward()
    assert (module.teacher.encoder.registers.grad is not None) is trained
    assert module.rnn.embedding.weight.grad is not None


def test_relative_dynamics_are_errors_in_units_of_the_memories_variance(batch):
    """Divided by the variance of the memories that are predicted, whose gradient is there too."""
    module = smt(timesteps_per_sequence=None, relative_dynamics=True, dynamics_weight=1.0)
    plain = smt(timesteps_per_sequence=None, dynamics_weight=1.0)
    plain.load_state_dict(module.state_dict())
    every = torch.arange(batch.inputs.shape[1])
    memories = module.teacher.encode(batch.inputs, every)
    variance = memories.flatten(0, 1).var(dim=0, correction=0).mean()
    expected = plain.losses(Step.alone(batch)).terms["dynamics"] / variance
    found = module.losses(Step.alone(batch)).terms["dynamics"]
    torch.testing.assert_close(found, expected)
    ours, theirs = (torch.autograd.grad(loss, module.teacher.encoder.registers)[0] for loss in (found, variance))
    (numerator,) = torch.autograd.grad(
        plain.losses(Step.alone(batch)).terms["dynamics"], plain.teacher.encoder.registers
    )
    torch.testing.assert_close(ours, numerator / variance - found.detach() / variance * theirs)


def test_noise_on_the_cells_memories_leaves_targets_and_readings_alone(batch):
    """f starts from disturbed memories, of the same size as before; the decoder reads clean ones."""
    clean, noisy = smt(timesteps_per_sequence=None), smt(timesteps_per_sequence=None, memory_noise=0.3)
    noisy.load_state_dict(clean.state_dict())
    seen = []
    step = noisy.rnn.step
    noisy.rnn.step = lambda memory, embedding: (seen.append(memory), step(memory, embedding))[1]
    before, after = clean.losses(Step.alone(batch)).terms, noisy.losses(Step.alone(batch)).terms
    assert before["dynamics"] != after["dynamics"]
    for name in ("decoding", "initial", "uniformity"):
        torch.testing.assert_close(after[name], before[name])
    clean_memories = clean.teacher.encode(batch.inputs, torch.arange(batch.inputs.shape[1] - 1))
    disturbed = seen[0][:, 1:]
    assert (disturbed - clean_memories).abs().mean() > 0.05
    torch.testing.assert_close(disturbed.square().mean(-1), torch.ones_like(disturbed[..., 0]))


def test_the_last_timestep_has_a_decoding_loss_but_no_next_memory(batch):
    module = smt(timestep_sampling="targets")
    module.timesteps_per_sequence = 1  # as an option it is refused, for nothing else would be trained
    only_last = batch._replace(mask=batch.mask.index_fill(1, torch.arange(6), False))
    terms = module.losses(Step.alone(only_last)).terms
    assert module.draw_timesteps(Step.alone(only_last)).tolist() == [6]
    assert terms["decoding"] > 0
    assert terms["dynamics"] == 0


@pytest.mark.parametrize("trajectory", [Sequential(), Detached()])
def test_imitation_loss_is_the_drift_of_the_rollout_from_the_initial_memory(batch, trajectory):
    module = dmt(trajectory=trajectory)
    states = naive_rollout(module.rnn, batch, module.rnn.initial_memory(3), 0, 6)
    memories = module.teacher.encode(batch.inputs, torch.arange(7))
    expected = torch.stack([F.mse_loss(state, memories[:, t]) for t, state in enumerate(states)]).mean()
    terms = module.losses(Step.alone(batch)).terms
    torch.testing.assert_close(terms["imitation"], 10 * expected)
    valid = batch.mask
    readout = F.cross_entropy(module.rnn.read(torch.stack(states, dim=1))[valid], batch.targets[valid])
    torch.testing.assert_close(terms["readout"], readout)


def test_windows_start_at_the_teachers_memories_and_one_at_the_initial_memory(batch):
    module = dmt(windows=Windows(starts=3, length=2))
    rollout = module.roll(Step.alone(batch))
    starts = rollout.timesteps.view(3, 2)[:, 0].tolist()
    assert starts[0] == 0
    assert len(set(starts)) == 3
    for window, first in enumerate(starts):
        memory = (
            module.rnn.initial_memory(3)
            if first == 0
            else module.teacher.encode(batch.inputs, torch.tensor([first - 1]))[:, 0]
        )
        expected = naive_rollout(module.rnn, batch, memory, first, first + 1)
        torch.testing.assert_close(rollout.states[:, 2 * window : 2 * window + 2], torch.stack(expected, dim=1))


def test_detached_gradients_are_those_of_single_steps_from_the_rollouts_own_memories(batch):
    module = dmt(trajectory=Detached(), windows=Windows(label_stride=2))
    module.losses(Step.alone(batch)).terms["imitation"].backward()
    got = {name: p.grad.clone() for name, p in module.rnn.cell.named_parameters()}
    module.zero_grad()
    memories = module.teacher.encode(batch.inputs, torch.arange(7)).detach()
    memory, errors = module.rnn.initial_memory(3), []
    for t in range(7):
        memory = module.rnn.step(memory.detach(), module.rnn.embed(batch.inputs)[:, t])
        if t % 2 == 1:
            errors.append(F.mse_loss(memory, memories[:, t]))
    (10 * torch.stack(errors).mean()).backward()
    for name, p in module.rnn.cell.named_parameters():
        torch.testing.assert_close(got[name], p.grad)


def test_picard_without_sweeps_is_one_step_training_on_the_frozen_teacher(batch):
    module = dmt(trajectory=Detached(Picard(sweeps=0)))
    frozen = smt(timesteps_per_sequence=None, freeze_teacher=True, dynamics_weight=10.0)
    frozen.teacher.load_state_dict(module.teacher.state_dict())
    frozen.rnn.load_state_dict(
        module.rnn.state_dict()
        | {key: value for key, value in frozen.rnn.state_dict().items() if key.startswith("readout")}
    )
    terms = frozen.losses(Step.alone(batch)).terms
    expected = (6 * terms["dynamics"] + terms["initial"]) / 7
    torch.testing.assert_close(module.losses(Step.alone(batch)).terms["imitation"], expected)


def test_bptt_is_the_cross_entropy_of_the_unrolled_sequence_and_truncation_changes_only_gradients(batch):
    gradients = []
    for truncation in (None, 3):
        torch.manual_seed(1)
        module = BPTTModule(interface=INTERFACE, network=NETWORK, trajectory=Sequential(truncation=truncation))
        states = torch.stack(naive_rollout(module.rnn, batch, module.rnn.initial_memory(3), 0, 6), dim=1)
        valid = batch.mask
        expected = F.cross_entropy(module.rnn.read(states)[valid], batch.targets[valid])
        outcome = module.losses(Step.alone(batch))
        loss = outcome.terms["readout"]
        torch.testing.assert_close(loss, expected)
        loss.backward()
        gradients.append(module.rnn.embedding.weight.grad)
        assert outcome.gradient_chain == (truncation or 7)
    assert not torch.allclose(*gradients)


def test_teacher_alone_has_no_rnn_and_no_gradient_chain(batch):
    module = TeacherModule(interface=INTERFACE, network=NETWORK)
    outcome = module.losses(Step.alone(batch))
    assert set(outcome.terms) == {"decoding", "uniformity"}
    assert module.rnn is None
    assert outcome.gradient_chain == 0
