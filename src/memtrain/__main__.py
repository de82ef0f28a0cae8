"""`python -m memtrain` is the command `memtrain`."""

from memtrain.cli import entry_point

entry_point()
