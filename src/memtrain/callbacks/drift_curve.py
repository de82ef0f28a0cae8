"""DriftCurve: how far the rollout is from the teacher at each timestep, as a figure at each validation."""

from lightning import Callback, LightningModule, Trainer
from matplotlib.figure import Figure

from memtrain.callbacks.writer import tensorboard_writer
from memtrain.training import StageModule


class DriftCurve(Callback):
    """The curve `MSE(m^_t, m_t)` over t of split `val`, where there are both teacher and RNN."""

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the curve; Lightning calls this before the module logs and forgets its metrics."""
        assert isinstance(pl_module, StageModule)
        drift = pl_module.evaluation("val").drift
        if not drift.update_called:
            return
        values = drift.compute()  # on every rank: it sums over them
        writer = tensorboard_writer(trainer)
        if writer is None:
            return
        figure = Figure(figsize=(5, 3), layout="constrained")
        axes = figure.add_subplot(xlabel="timestep t", ylabel="MSE(rollout, teacher)")
        axes.plot(values["curve"].cpu())
        axes.axhline(values["equilibrium"].item(), linestyle=":", color="gray", label="mean of the last quarter")
        axes.set_ylim(bottom=0)
        axes.legend()
        writer.add_figure("drift/curve", figure, pl_module.counters.steps)
