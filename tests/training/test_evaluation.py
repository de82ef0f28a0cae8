"""Evaluation: the three kinds of prediction against their definitions, and what sparse targets save."""

import torch
from tiny import INTERFACE, NETWORK, random_batch
from torch.nn import functional as F

from memtrain.networks import RNN, Teacher
from memtrain.objectives import uniformity
from memtrain.training import evaluation
from memtrain.training.evaluation import Evaluation, predict_with_memories


def networks() -> tuple[Teacher, RNN]:
    return Teacher(NETWORK, INTERFACE).double(), RNN(NETWORK, INTERFACE).double()


def evaluation_of_tokens() -> Evaluation:
    return Evaluation(("teacher", "one_step", "rollout"), INTERFACE.outputs).double()


def test_each_kind_predicts_from_the_memory_of_its_definition():
    teacher, rnn = networks()
    batch = random_batch(size=4)
    result = predict_with_memories(teacher, rnn, batch, everywhere=True)
    memories = teacher.encode(batch.inputs, torch.arange(7))
    state = rnn.initial_memory(4)
    bearing = batch.mask.any(0).nonzero()[:, 0].tolist()
    for t in range(7):
        embedding = rnn.embed(batch.inputs)[:, t]
        one_step = rnn.step(memories[:, t - 1] if t else rnn.initial_memory(4), embedding)
        state = rnn.step(state, embedding)
        if t in bearing:
            at = bearing.index(t)
            torch.testing.assert_close(result.parameters["teacher"][:, at], teacher.read(memories[:, t]))
            torch.testing.assert_close(result.parameters["one_step"][:, at], rnn.read(one_step))
            torch.testing.assert_close(result.parameters["rollout"][:, at], rnn.read(state))


def test_computing_memories_only_where_targets_need_them_changes_no_prediction():
    teacher, rnn = networks()
    for seed in range(5):
        batch = random_batch(seed, size=1)
        everywhere = predict_with_memories(teacher, rnn, batch, everywhere=True)
        sparse = predict_with_memories(teacher, rnn, batch)
        assert sparse.memories is None
        for kind, logits in everywhere.parameters.items():
            torch.testing.assert_close(sparse.parameters[kind], logits)


def test_no_more_tokens_are_compared_with_each_other_than_a_matrix_has_room_for(monkeypatch):
    monkeypatch.setattr(f"{evaluation.__name__}.COMPARED_TOKENS", 5)
    teacher, rnn = networks()
    metrics = evaluation_of_tokens()
    metrics.update(predict_with_memories(teacher, rnn, random_batch(size=4), everywhere=True))
    tokens = metrics.memories("memory").compute().flatten(0, 1)
    assert len(tokens) == 4 * NETWORK.memory_tokens > 5
    assert float(metrics.compute()["memory/uniformity"]) == float(uniformity(tokens[::2]))  # 4 of 8, from all samples


def test_loss_and_accuracy_are_means_over_all_valid_targets_of_all_batches():
    teacher, _ = networks()
    metrics = evaluation_of_tokens()
    losses, correct = [], []
    for seed, size in ((0, 2), (1, 5)):
        batch = random_batch(seed, size)
        metrics.update(predict_with_memories(teacher, None, batch, everywhere=seed == 0))
        logits = teacher.read(teacher.encode(batch.inputs, torch.arange(7)))
        valid = batch.mask
        losses += F.cross_entropy(logits[valid], batch.targets[valid], reduction="none").tolist()
        correct += (logits[valid].argmax(-1) == batch.targets[valid]).tolist()
    values = metrics.compute()
    assert abs(float(values["teacher/loss"]) - sum(losses) / len(losses)) < 1e-6
    assert abs(float(values["teacher/accuracy"]) - sum(correct) / len(correct)) < 1e-6
    assert "rollout/loss" not in values
    metrics.reset()
    assert metrics.compute() == {}
