"""Acting: a cloned policy plays as it predicts, reward moves a readout the right way, and the command end to end."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("gymnasium", reason="pip install 'memtrain[control]'")

from memtrain.cli import main
from memtrain.control import ModelPolicy, evaluate_policy, reinforce
from memtrain.control.command import require_fitting
from memtrain.control.policy import packed
from memtrain.control.reinforce import policy_loss
from memtrain.environments import GymnasiumTask, RecordedEpisodes, TMaze, play
from memtrain.networks import RNN, NetworkOptions
from memtrain.training.loading import load_datamodule

SMALL = NetworkOptions(width=8, memory_tokens=2, heads=1, head_dimension=8)


def data_of(length: int = 3, expert: str = "cue", **options: object) -> RecordedEpisodes:
    return RecordedEpisodes(TMaze(length), expert, episodes=40, window=length + 1, batch_size=4, **options)


def rnn_of(data: RecordedEpisodes) -> RNN:
    torch.manual_seed(0)
    return RNN(SMALL, data.interface()).eval()


def test_an_expert_is_recorded_as_rows_that_predict_its_actions() -> None:
    """Walks three steps, turns in the fourth; the cue is in the first row alone."""
    data = data_of()
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert (batch.targets[:, :3] == 0).all()
    cue = data.channels.channels[0]
    seen = np.sign(cue.unscaled(batch.inputs[:, 0, 0].numpy()))
    assert np.array_equal(batch.targets[:, 3].numpy(), np.where(seen > 0, 1, 2))
    assert data.reference_lines()["chance"] == pytest.approx(3 / 4)


def test_a_policy_plays_what_its_model_predicts_of_the_same_history() -> None:
    data = data_of()
    model, episodes = rnn_of(data), 6
    played = play(data.task, ModelPolicy(model, data.channels), episodes, seed=0)
    steps = data.task.horizon
    if len(played.actions) == episodes * steps:  # untrained, it may never turn
        actions = played.actions.reshape(episodes, steps)
        before = np.concatenate([np.full((episodes, 1), -1), actions[:, :-1]], axis=1)
        inputs = packed(data.channels, played.observations.reshape(episodes, steps, -1), before)
        wanted = model.outputs(inputs, torch.arange(steps)).argmax(-1)
        assert np.array_equal(wanted.numpy(), actions)
    else:
        first = packed(data.channels, played.observations[played.starts], np.full(episodes, -1))
        wanted = model.outputs(first.unsqueeze(1), torch.tensor([0])).argmax(-1)[:, 0]
        assert np.array_equal(wanted.numpy(), played.actions[played.starts])


def test_the_policy_gradient_by_hand() -> None:
    """Two episodes of one step with rewards 1 and 0 and even odds: advantages 1/2 and -1/2, each log-odds ln 2."""
    logits = torch.zeros(2, 1, 2, requires_grad=True)
    rewards, mask = torch.tensor([[1.0], [0.0]]), torch.ones(2, 1, dtype=torch.bool)
    policy_loss(logits, torch.tensor([[0], [1]]), rewards, mask, 0.0).backward()
    # d(-log p(a) A)/d logits = (p - onehot(a)) A, over two episodes
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad[:, 0], torch.tensor([[-0.125, 0.125], [-0.125, 0.125]]))


def test_what_comes_after_an_episode_changes_nothing() -> None:
    logits, actions = torch.randn(3, 4, 2), torch.randint(0, 2, (3, 4))
    mask = torch.tensor([[True] * 4, [True] * 2 + [False] * 2, [True] + [False] * 3])
    rewards = torch.rand(3, 4) * mask
    changed = torch.where(mask.unsqueeze(-1), logits, torch.randn(3, 4, 2))
    losses = [policy_loss(values, actions, rewards, mask, 0.1) for values in (logits, changed)]
    torch.testing.assert_close(*losses)


def test_reward_trains_a_readout_and_leaves_a_frozen_memory_alone() -> None:
    data = data_of()
    model = rnn_of(data)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = reinforce(model, data.channels, data.task, iterations=2, episodes=4)
    assert len(found.returns) == len(found.success) == 2
    assert found.readout.weight.abs().sum() > 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    reinforce(model, data.channels, data.task, train_memory=True, iterations=2, episodes=4)
    assert any(not torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.slow
def test_reward_alone_teaches_a_short_maze() -> None:
    data = data_of(length=1)
    options = {"iterations": 150, "learning_rate": 0.003, "entropy_weight": 0.03, "temperature": 1.0}
    found = reinforce(rnn_of(data), data.channels, data.task, train_memory=True, **options)
    assert np.mean(found.success[:10]) < 0.7
    assert np.mean(found.success[-10:]) > 0.9


def test_returns_are_told_from_random_to_expert() -> None:
    task = TMaze(3)
    found = evaluate_policy(task, task.expert("cue"), episodes=20, seed=1, expert="cue")
    assert found["policy"] == found["expert"]
    assert found["expert"].normalized == 1.0
    assert found["random"].normalized == 0.0
    assert evaluate_policy(task, task.expert("cue"), episodes=5)["policy"].normalized is None


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cloned")
    words = [
        "fit",
        "--model=BPTTModule",
        '--model.network={"width": 8, "memory_tokens": 2, "heads": 1, "head_dimension": 8}',
        "--data=memtrain.environments.RecordedEpisodes",
        '--data.task={"class_path": "memtrain.environments.TMaze", "init_args": {"length": 3}}',
        "--data.expert=cue",
        "--data.episodes=40",
        "--data.window=4",
        "--data.batch_size=4",
        "--trainer.max_steps=2",
        "--trainer.accelerator=cpu",
        f"--trainer.default_root_dir={folder}",
    ]
    assert main(words) == 0
    return next(folder.rglob("*.ckpt"))


def test_a_cloned_policy_is_evaluated_by_one_command(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "played.csv"
    assert main(["evaluate-policy", f"--checkpoint={checkpoint}", "--episodes=5", f"--output={table}"]) == 0
    printed = capsys.readouterr().out
    assert "expert: return 1.000, success 1.000, 1.000 from random (0) to expert (1), 5 episodes" in printed
    assert table.read_text(encoding="utf-8").startswith("policy,mean_return,success")
    again = load_datamodule(checkpoint)
    assert isinstance(again, RecordedEpisodes)
    assert again.task == TMaze(3)


def test_an_environment_with_fewer_actions_than_the_logs_is_refused() -> None:
    data = data_of()
    policy, pole = ModelPolicy(rnn_of(data), data.channels), GymnasiumTask("CartPole-v1", hidden=(1, 3))
    require_fitting(TMaze(3), policy, Path("last.ckpt"))
    with pytest.raises(ValueError, match=r"has 2 actions, but last.ckpt chooses among 3"):
        require_fitting(pole, policy, Path("last.ckpt"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--episodes=0"], "--episodes is 0"),
        (["--temperature=-1"], "--temperature is -1"),
        (["--environment=Acrobot-v1"], "shows 6 numbers"),
    ],
)
def test_a_policy_that_cannot_be_played_is_refused(
    checkpoint: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate-policy", f"--checkpoint={checkpoint}", *words]) == 1
    assert message in capsys.readouterr().err
