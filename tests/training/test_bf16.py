"""`precision: bf16-mixed` under the real Trainer: every gradient is there, finite, and points where float32's does."""

from functools import partial

import pytest
import torch
from lightning import seed_everything
from lightning.pytorch.callbacks import Callback
from tiny import INTERFACE, NETWORK, Batches

from memtrain.networks import NetworkOptions
from memtrain.networks.cells import GRUCell, LSTMCell, MLPCell, ParaGRUCell, ParaLSTMCell
from memtrain.training import BPTTModule, DMTModule, SMTModule, TeacherModule
from memtrain.trajectory import Detached, Newton, Picard, Sequential, Windows

SIZES = {"width": 8, "memory_tokens": 2, "heads": 2, "head_dimension": 4}
RMS, TANH = (partial(NetworkOptions, **SIZES, memory_normalization=kind) for kind in ("rms", "tanh"))
STAGES = {
    "teacher": (TeacherModule, {}),
    "teacher, bidirectional": (TeacherModule, {"network": RMS(attention="bidirectional")}),
    "smt": (SMTModule, {"timesteps_per_sequence": None, "uniformity_weight": 1.0}),
    "smt, frozen teacher": (SMTModule, {"freeze_teacher": True}),
    "dmt": (DMTModule, {"windows": Windows()}),
    "dmt, detached": (DMTModule, {"windows": Windows(), "trajectory": Detached()}),
    "dmt, windows": (DMTModule, {"windows": Windows(starts=4, length=3)}),
    "dmt, picard": (DMTModule, {"windows": Windows(), "trajectory": Picard(2)}),
    "dmt, picard detached": (DMTModule, {"windows": Windows(), "trajectory": Detached(Picard(2))}),
    "bptt": (BPTTModule, {}),
    "bptt, truncated": (BPTTModule, {"trajectory": Sequential(truncation=3)}),
    "bptt, mlp": (BPTTModule, {"network": RMS(cell=MLPCell)}),
    "bptt, gru": (BPTTModule, {"network": TANH(cell=GRUCell, readout="linear")}),
    "bptt, lstm": (BPTTModule, {"network": TANH(cell=LSTMCell)}),
    "bptt, para_gru": (BPTTModule, {"network": TANH(cell=ParaGRUCell)}),
    "bptt, para_lstm": (BPTTModule, {"network": TANH(cell=ParaLSTMCell)}),
    "bptt, newton": (BPTTModule, {"network": TANH(cell=ParaLSTMCell), "trajectory": Newton()}),
}


class Observed(Callback):
    """The gradients of the first step, and the types of memories in it: what is returned, and what the RNN reads."""

    def __init__(self):
        self.gradients, self.types = {}, set()

    def on_train_start(self, trainer, module):
        makers = [module.teacher.encoder.forward] if module.teacher else []
        makers += [module.rnn.cell.step, module.rnn.cell.rollout] if module.rnn else []
        for make in makers:
            setattr(make.__self__, make.__name__, partial(self.note_type, make))
        if module.rnn:
            module.rnn.read = partial(self.note_read, module.rnn.read)

    def note_read(self, read, memory, ahead=None):
        self.types.add(memory.dtype)
        return read(memory, ahead)

    def note_type(self, make, *args):
        memory = make(*args)
        self.types.add(memory.dtype)
        return memory

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.gradients = {n: p.grad.clone() for n, p in module.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("stage", STAGES)
def test_gradients_point_where_those_of_float32_do_and_memories_stay_float32(stage, train, make_trainer):
    module_class, options = STAGES[stage]
    if "network" not in options:
        source = SMTModule(interface=INTERFACE, network=NETWORK)
        options = options | {"init_from": str(train(source, "source", max_steps=1))}
    observed = {}
    for precision in ("32-true", "bf16-mixed"):
        seed_everything(0, verbose=False)
        observed[precision] = Observed()
        trainer = make_trainer(1, [observed[precision]], precision=precision)
        trainer.fit(module_class(interface=INTERFACE, **options), datamodule=Batches())
    exact, rounded = (observed[precision].gradients for precision in ("32-true", "bf16-mixed"))
    assert exact
    for name, gradient in exact.items():
        assert rounded[name].isfinite().all(), name
        assert torch.cosine_similarity(gradient.flatten(), rounded[name].flatten(), dim=0) > 0.95, name
    assert observed["bf16-mixed"].types == {torch.float32}


@pytest.mark.parametrize("micro_batches", [1, 3])
def test_autocast_is_off_in_every_backward_pass(micro_batches, make_trainer):
    """What is computed in float32 on purpose is differentiated in float32, in micro-batches too."""
    module = TeacherModule(interface=INTERFACE, network=NETWORK, micro_batches=micro_batches)
    found = []
    module.teacher.embedding.weight.register_hook(lambda _: found.append(torch.is_autocast_enabled("cpu")))
    make_trainer(1, precision="bf16-mixed").fit(module, datamodule=Batches())
    assert found == [False] * micro_batches


@pytest.mark.parametrize("cell", [GRUCell, LSTMCell])
def test_gated_cells_keep_memories_out_of_autocast(cell, monkeypatch):
    """CUDA's autocast runs their kernels in 16 bits, a CPU's does not."""
    made, found = cell(8, 2, "tanh"), []
    for kernel in made.children():
        forward = kernel.forward
        monkeypatch.setattr(
            kernel, "forward", lambda *x, f=forward: found.append(torch.is_autocast_enabled("cpu")) or f(*x)
        )
    with torch.autocast("cpu", torch.bfloat16):
        memory = made.step(torch.zeros(3, 2, 8), torch.randn(3, 8, dtype=torch.bfloat16))
    assert found == [False]
    assert memory.dtype == torch.float32
