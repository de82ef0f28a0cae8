"""Comparing methods: result folders -> one table, one figure, one verdict."""

from memtrain.compare.comparison import compare_directories
from memtrain.compare.results import nothing_finished, read_results
from memtrain.compare.rows import COLUMNS, to_rows
from memtrain.compare.verdict import SEEDS_NEEDED, summarize, verdict

__all__ = [
    "COLUMNS",
    "SEEDS_NEEDED",
    "compare_directories",
    "nothing_finished",
    "read_results",
    "summarize",
    "to_rows",
    "verdict",
]
