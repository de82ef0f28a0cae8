"""RecordedEpisodes: logs of an expert that plays a task, made when they are needed."""

from typing import Any

from memtrain.data.episode_files import Episodes
from memtrain.data.episodes import BehaviorDataModule
from memtrain.environments.play import play
from memtrain.environments.task import Task
from memtrain.limits import require_at_least

RECORDING_SEED = 20260605


class RecordedEpisodes(BehaviorDataModule):
    """What an expert does in a task; the same episodes in every run.

    Args:
        task: the environment, and what is seen of it.
        expert: which of the task's experts plays.
        episodes: number of episodes.
        **options: see `BehaviorDataModule` and `SequenceDataModule`.
    """

    def __init__(self, task: Task, expert: str, episodes: int = 500, **options: Any) -> None:
        require_at_least("data.episodes", episodes, 3, example=500)
        self.task, self.expert, self.count = task, expert, episodes
        self.player = task.expert(expert)
        super().__init__(**options)
        self.hparams["task"] = task.to_primitive()

    def read(self) -> Episodes:
        """See `BehaviorDataModule.read`."""
        return play(self.task, self.player, self.count, RECORDING_SEED)

    def observation_names(self, episodes: Episodes) -> list[str]:
        """See `BehaviorDataModule.observation_names`; the task's."""
        return list(self.task.visible)

    @property
    def categories(self) -> int:
        """See `BehaviorDataModule.categories`; also actions that the expert never takes."""
        return self.task.actions
