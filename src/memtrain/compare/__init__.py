"""Comparing methods: result folders -> one table, one figure, one verdict."""

from memtrain.compare.comparison import compare_directories
from memtrain.compare.rows import COLUMNS, nothing_finished, read_results, to_rows
from memtrain.compare.verdict import SEEDS_NEEDED, summarise, verdict

__all__ = [
    "COLUMNS",
    "SEEDS_NEEDED",
    "compare_directories",
    "nothing_finished",
    "read_results",
    "summarise",
    "to_rows",
    "verdict",
]
