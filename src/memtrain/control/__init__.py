"""Control: a trained RNN acts in the environment that its data come from, and learns from reward."""

from memtrain.control.evaluation import Played, evaluate_policy
from memtrain.control.policy import ModelPolicy
from memtrain.control.reinforce import Reinforced, reinforce

__all__ = ["ModelPolicy", "Played", "Reinforced", "evaluate_policy", "reinforce"]
