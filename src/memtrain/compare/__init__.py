"""Comparing methods: result folders -> one table, one figure, one verdict."""

from memtrain.compare.comparison import compare_directories
from memtrain.compare.declared import Declared, read_declared
from memtrain.compare.results import nothing_finished, read_results
from memtrain.compare.rows import COLUMNS, to_rows
from memtrain.compare.significance import SEEDS_NEEDED
from memtrain.compare.summary import summarize
from memtrain.compare.verdict import verdict

__all__ = [
    "COLUMNS",
    "SEEDS_NEEDED",
    "Declared",
    "compare_directories",
    "nothing_finished",
    "read_declared",
    "read_results",
    "summarize",
    "to_rows",
    "verdict",
]
