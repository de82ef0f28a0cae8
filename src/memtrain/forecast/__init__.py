"""`memtrain forecast`: what an RNN expects of the rows to come of each series of a table."""

from memtrain.forecast.command import forecast

__all__ = ["forecast"]
