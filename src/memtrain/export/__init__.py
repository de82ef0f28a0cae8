"""Export: an RNN's step as a file that other programs run, and streaming with it, one input at a time."""

from memtrain.export.exporting import export_checkpoint
from memtrain.export.folder import ExportedModel, ExportFolder, is_export, open_export
from memtrain.export.formats import FORMATS
from memtrain.export.number_rows import ChannelRows
from memtrain.export.predictions import prediction
from memtrain.export.rows import RowFormat, row_format
from memtrain.export.step import ExportStep, example_inputs
from memtrain.export.streaming import stream_predictions

__all__ = [
    "FORMATS",
    "ChannelRows",
    "ExportFolder",
    "ExportStep",
    "ExportedModel",
    "RowFormat",
    "example_inputs",
    "export_checkpoint",
    "is_export",
    "open_export",
    "prediction",
    "row_format",
    "stream_predictions",
]
