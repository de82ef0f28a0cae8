"""`memtrain evaluate-policy`: a checkpoint plays the environment that its data come from."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from memtrain.data import SequenceDataModule
from memtrain.data.episodes import BehaviorDataModule
from memtrain.files import write_table
from memtrain.limits import require_at_least
from memtrain.networks import StreamingModel
from memtrain.training.loading import load_datamodule, load_module

if TYPE_CHECKING:
    from memtrain.control.policy import ModelPolicy
    from memtrain.environments import Task


def play_checkpoint(
    checkpoint: Path,
    episodes: int = 200,
    temperature: float = 0.0,
    seed: int = 0,
    environment: str | None = None,
    output: Path | None = None,
) -> None:
    """Play episodes with a cloned policy, at random and with the expert, and print what they brought.

    Args:
        checkpoint: of a stage with a model that runs step by step, trained on logged behavior.
        episodes: how many each plays.
        temperature: 0 takes the likeliest action, 1 draws.
        seed: of environments and draws.
        environment: name of a gymnasium environment, for logs that do not say where they come from.
        output: CSV to write; None: none.

    Raises:
        ValueError: where the checkpoint was trained on something else, or the environment is not known.
    """
    from memtrain.control.evaluation import evaluate_policy
    from memtrain.environments import GymnasiumTask, RecordedEpisodes

    require_at_least("--episodes", episodes, 1, example=200)
    require_at_least("--temperature", temperature, 0, example="0, which takes the likeliest action")
    data = load_datamodule(checkpoint)
    policy = cloned_policy(checkpoint, data, temperature)
    if isinstance(data, RecordedEpisodes) and environment is None:
        task, expert = data.task, data.expert
    elif environment is not None:
        task, expert = GymnasiumTask(environment), None
    else:
        raise ValueError(
            f"{checkpoint} was trained on logs that do not name their environment; give --environment, for example "
            "CartPole-v1."
        )
    require_fitting(task, policy, checkpoint)
    found = evaluate_policy(task, policy, episodes, seed, expert)
    for name, played in found.items():
        relative = "" if played.normalized is None else f", {played.normalized:.3f} from random (0) to expert (1)"
        print(f"{name}: return {played.mean_return:.3f}, success {played.success:.3f}{relative}, {episodes} episodes")
    if output is not None:
        write_table(output, [{"policy": name, **asdict(played)} for name, played in found.items()])


def require_fitting(task: "Task", policy: "ModelPolicy", checkpoint: Path) -> None:
    """Refuse an environment that shows or understands something else than the logs."""
    *observed, action = policy.channels.channels
    if len(task.visible) != len(observed):
        raise ValueError(
            f"The environment shows {len(task.visible)} numbers, but {checkpoint} takes in {len(observed)}; give "
            "--environment, the one that the logs come from."
        )
    if task.actions < action.categories:
        raise ValueError(
            f"The environment has {task.actions} actions, but {checkpoint} chooses among {action.categories}; give "
            "--environment, the one that the logs come from."
        )


def cloned_policy(checkpoint: Path, data: SequenceDataModule, temperature: float = 0.0) -> "ModelPolicy":
    """The policy that a checkpoint has cloned from its data.

    Raises:
        ValueError: where it predicts something else than actions, or cannot run step by step.
    """
    from memtrain.control.policy import ModelPolicy

    if not isinstance(data, BehaviorDataModule) or data.target != "action" or not data.categories:
        raise ValueError(
            f"{checkpoint} was trained on {type(data).__name__}, not to predict one of several actions; give a "
            "checkpoint that was trained on EpisodesDataModule or RecordedEpisodes with target action."
        )
    *_, model = load_module(checkpoint).models.values()
    if not isinstance(model, StreamingModel):
        raise ValueError(f"{checkpoint} has no model that takes in one step after the other; give one of smt or later.")
    return ModelPolicy(model, data.channels, temperature)
