"""What comes out of a network: heads of classes, of numbers, and of several targets side by side."""

from memtrain.networks.heads.base import OutputDescription, OutputHead, Scored
from memtrain.networks.heads.categorical import Categorical, CategoricalHead, Score
from memtrain.networks.heads.densities import Bernoulli, Gaussian, Mixture, NegativeBinomial, StudentT
from memtrain.networks.heads.numbers import NumberHead, NumberOutputs
from memtrain.networks.heads.quantiles import Quantiles
from memtrain.networks.heads.several import Several

__all__ = [
    "Bernoulli",
    "Categorical",
    "CategoricalHead",
    "Gaussian",
    "Mixture",
    "NegativeBinomial",
    "NumberHead",
    "NumberOutputs",
    "OutputDescription",
    "OutputHead",
    "Quantiles",
    "Score",
    "Scored",
    "Several",
    "StudentT",
]
