"""Gradient profiles: of a memory that decays by a known factor, and through each route."""

import pytest
import torch
from torch import Tensor, nn

from memtrain.batch import SequenceBatch
from memtrain.metrics import rnn_gradient_profile, teacher_gradient_profile
from memtrain.networks import RNN, Interface, NetworkOptions, Teacher
from memtrain.networks.cells import Cell

LENGTH, VOCABULARY = 9, 5
INTERFACE = Interface.of_tokens(VOCABULARY)
OPTIONS = {"width": 8, "memory_tokens": 2, "heads": 2, "head_dimension": 4}


class LeakyCell(Cell):
    """`m_{t+1} = m_t / 2 + x_{t+1}`: the gradient halves with each step back."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return memory / 2 + embedding.unsqueeze(1)


@pytest.fixture
def batch() -> SequenceBatch:
    targets = torch.full((4, LENGTH), -100)
    targets[:3, -1] = torch.tensor([0, 1, 2])
    return SequenceBatch.of(torch.randint(VOCABULARY, (4, LENGTH)), targets, torch.arange(4))


def test_the_profile_of_a_leaky_memory_halves_with_each_step_back(batch: SequenceBatch) -> None:
    rnn = RNN(NetworkOptions(**OPTIONS, cell=LeakyCell, readout="linear"), INTERFACE).double()
    profile = rnn_gradient_profile(rnn, batch)
    halves = 0.5 ** torch.arange(LENGTH - 1, -1, -1, dtype=torch.float64)
    torch.testing.assert_close(profile.memory, halves * profile.memory[-1])
    torch.testing.assert_close(profile.embedding, halves * profile.embedding[-1])


def test_the_last_memorys_gradient_by_hand(batch: SequenceBatch) -> None:
    """For a linear readout it is W^T (softmax - onehot); the norms are averaged over such samples."""
    rnn = RNN(NetworkOptions(**OPTIONS, cell=LeakyCell, readout="linear"), INTERFACE).double()
    inputs, targets, *_ = batch
    logits, memory = rnn.stream(inputs[:3, 0])
    for t in range(1, LENGTH):
        logits, memory = rnn.stream(inputs[:3, t], memory)
    error = logits.softmax(-1) - nn.functional.one_hot(targets[:3, -1], VOCABULARY)
    expected = (error @ rnn.head.weight).norm(dim=-1).mean()
    torch.testing.assert_close(rnn_gradient_profile(rnn, batch).memory[-1], expected)


def test_samples_without_a_last_target_do_not_count(batch: SequenceBatch) -> None:
    first = batch.take(torch.arange(3))
    teacher, rnn = (network(NetworkOptions(**OPTIONS), INTERFACE).double() for network in (Teacher, RNN))
    for profile, network in ((teacher_gradient_profile, teacher), (rnn_gradient_profile, rnn)):
        torch.testing.assert_close(vars(profile(network, batch)), vars(profile(network, first)))


def test_the_teachers_embedding_profile_ends_where_its_window_does(batch: SequenceBatch) -> None:
    options = NetworkOptions(**OPTIONS, attention="bidirectional", context_length=3)
    profile = teacher_gradient_profile(Teacher(options, INTERFACE), batch)
    assert (profile.embedding > 0).tolist() == [False] * 6 + [True] * 3
    assert (profile.memory > 0).all()


def test_the_teachers_last_memory_gradient_is_that_of_reading_it(batch: SequenceBatch) -> None:
    inputs, targets, *_ = batch
    teacher = Teacher(NetworkOptions(**OPTIONS), INTERFACE).double()
    memory = teacher.encode(inputs[:3], torch.arange(inputs.shape[1]))[:, -1].detach().requires_grad_()
    loss = nn.functional.cross_entropy(teacher.read(memory), targets[:3, -1], reduction="sum")
    (gradient,) = torch.autograd.grad(loss, memory)
    profile = teacher_gradient_profile(teacher, batch)
    torch.testing.assert_close(profile.memory[-1], gradient.flatten(1).norm(dim=1).mean())


def test_profiles_leave_no_gradient_behind(batch: SequenceBatch) -> None:
    rnn = RNN(NetworkOptions(**OPTIONS), INTERFACE)
    with torch.no_grad():  # as in validation
        rnn_gradient_profile(rnn, batch)
    assert all(parameter.grad is None for parameter in rnn.parameters())


def test_a_batch_without_last_targets_is_refused(batch: SequenceBatch) -> None:
    with pytest.raises(ValueError, match="no target at the last timestep"):
        rnn_gradient_profile(RNN(NetworkOptions(**OPTIONS), INTERFACE), batch.take(torch.tensor([3])))
