"""Environments to act in: a task says what is seen of them, what can be done, and who does it well.

They are `gymnasium` environments (`pip install memtrain[control]`), many at a time.
"""

try:
    import gymnasium  # noqa: F401  # here, so that what is missing is said in one sentence
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("memtrain.environments needs gymnasium; pip install 'memtrain[control]'.") from error

from memtrain.environments.cart_pole import HiddenCartPole
from memtrain.environments.play import play
from memtrain.environments.recorded import RecordedEpisodes
from memtrain.environments.task import GymnasiumTask, Policy, RandomPolicy, Task
from memtrain.environments.tmaze import TMaze

__all__ = [
    "GymnasiumTask",
    "HiddenCartPole",
    "Policy",
    "RandomPolicy",
    "RecordedEpisodes",
    "TMaze",
    "Task",
    "play",
]
