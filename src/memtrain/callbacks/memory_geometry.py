"""MemoryGeometry: memories as points in TensorBoard's projector, colored by what they should store."""

import torch
from lightning import Callback, LightningModule, Trainer

from memtrain.callbacks.writer import tensorboard_writer
from memtrain.data import SequenceDataModule
from memtrain.training import StageModule


class MemoryGeometry(Callback):
    """Memories of validation sequences at the end of training, by sequence, timestep and `memory_labels`.

    Retrieval should show a few clusters, string copy a tree (claim 8). Teacher and RNN have a cloud each.

    Args:
        points: memories of a cloud; the projector becomes slow beyond some 10,000.
    """

    def __init__(self, points: int = 2000) -> None:
        self.points = points

    @torch.no_grad()
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the clouds of the first validation sequences."""
        writer = tensorboard_writer(trainer)
        if writer is None:
            return
        data: SequenceDataModule = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(pl_module, StageModule)
        dataset = data.dataset("val")
        sequences = min(len(dataset), -(-self.points // data.sequence_length))
        batch = dataset.__getitems__(range(sequences))
        shape = (sequences, data.sequence_length)
        colors = {
            "sequence": torch.arange(sequences)[:, None].expand(shape),
            "timestep": torch.arange(data.sequence_length).expand(shape),
        }
        labels = data.memory_labels(batch)
        if labels is not None:
            colors["label"] = labels
        table = torch.stack(list(colors.values()), dim=-1).flatten(0, 1)[: self.points]
        on_device = batch.map(lambda tensor: tensor.to(pl_module.device))
        trains = pl_module.training
        pl_module.eval()  # a cell may have dropout
        result = pl_module.predictions(on_device, everywhere=True)
        pl_module.train(trains)
        for name, memories in (("teacher", result.memories), ("rollout", result.states)):
            if memories is not None:
                writer.add_embedding(
                    memories.flatten(0, 1).flatten(1)[: self.points],
                    metadata=table.tolist(),
                    metadata_header=list(colors),
                    global_step=pl_module.counters.steps,
                    tag=f"memory/{name}",
                )
