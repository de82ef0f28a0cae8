"""The way from a callback to the run's TensorBoard event file."""

from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter


def tensorboard_writer(trainer: Trainer) -> SummaryWriter | None:
    """The writer of the first TensorBoard logger.

    Args:
        trainer: the run's trainer.

    Returns:
        None where there is none, on ranks other than the first, and while Lightning tries validation out.
    """
    if trainer.sanity_checking or not trainer.is_global_zero:
        return None
    return next((x.experiment for x in trainer.loggers if isinstance(x, TensorBoardLogger)), None)
