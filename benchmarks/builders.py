"""Both sides of each workload: networks with the same weights, the same batch, and a check that the work is equal."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.equal_work import Work, check_equal_work, our_work, their_work
from benchmarks.ours import (
    OPTIMIZER,
    AuthorsDMT,
    AuthorsSMT,
    FixedTimestepSMT,
    our_step,
    outcome_of,
)
from benchmarks.parity import BIDIRECTIONAL, as_theirs, carry_rnn, carry_teacher, first_timesteps, random_batch
from benchmarks.reference import Reference
from benchmarks.settings import Setting
from benchmarks.steps import BETAS, LEARNING_RATE, WEIGHT_DECAY, OptimizerStep
from benchmarks.theirs import bptt_loss, dmt_loss, smt_loss, their_step
from benchmarks.timing import Side
from memtrain.batch import SequenceBatch
from memtrain.data import SequenceDataModule, Stack
from memtrain.data.blocks import BLOCK_SIZE
from memtrain.experiment.plan import plan_stages
from memtrain.experiment.reading import read_experiment
from memtrain.experiment.runs import Run
from memtrain.export import FORMATS, ExportStep, example_inputs
from memtrain.export.folder import ExportedModel
from memtrain.fit import MemtrainCLI
from memtrain.networks import RNN, Interface, NetworkOptions
from memtrain.networks.cells import GRUCell
from memtrain.networks.generation import generate_tokens
from memtrain.training import BPTTModule, SMTModule
from memtrain.training.step import Step
from memtrain.trajectory import Detached, Sequential, Windows

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


@dataclass(frozen=True)
class Pair:
    """The two sides of a workload.

    Attributes:
        ours: our side.
        theirs: the other side; None without a reference.
        work: what both were found to work with; empty where the other side is not the authors' code.
    """

    ours: Side
    theirs: Side | None
    work: Work


def smt(name: str, reference: Reference | None, setting: Setting, attention: str) -> Pair:
    """An SMT step at one timestep (workloads A and F)."""
    batch = random_batch(setting, setting.context + setting.future)
    options: dict[str, Any] = {"attention": attention}
    if attention == "bidirectional":
        options = BIDIRECTIONAL | {"context_length": setting.context}
    kind = AuthorsSMT if attention == "bidirectional" else FixedTimestepSMT
    module = kind(context=setting.context, **smt_options(setting, options))
    return smt_pair(name, reference, setting, module, batch)


def smt_options(setting: Setting, network: dict[str, Any]) -> dict[str, Any]:
    """Options of our SMT stage."""
    return OPTIMIZER | {
        "interface": setting.size.interface,
        "network": setting.size.network(**network),
        "timesteps_per_sequence": setting.timesteps,
        "future_length": setting.future,
    }


def smt_pair(name: str, reference: Reference | None, setting: Setting, module: SMTModule, batch: SequenceBatch) -> Pair:
    """Our SMT step and theirs, on one batch."""
    ours = our_step(module, batch)
    if reference is None:
        return Pair(Side(ours), None, {})
    networks = reference.networks(setting.size)
    carry_teacher(networks[0], module.teacher)
    carry_rnn(networks[1], module.rnn, readout=False)
    loss = partial(smt_loss, reference, networks, as_theirs(batch), setting)
    theirs = their_step(networks, loss, networks)
    lengths = {"batch": setting.batch, "length": batch.inputs.shape[1], "future": setting.future}
    work = compared_work(
        name,
        (ours, theirs),
        our_work(module.teacher, module.rnn, terms=sorted(outcome_of(module, batch).terms), **lengths),
        their_work(*networks, terms=["decoding", "dynamics", "uniformity"], **lengths),
    )
    return Pair(Side(ours), Side(theirs), work)


def compared_work(name: str, steps: tuple[OptimizerStep, OptimizerStep], ours: Work, theirs: Work) -> Work:
    """What both sides work with, once it is known to be equal; takes one step of each."""
    for step, work in zip(steps, (ours, theirs), strict=True):
        step()
        work["parameters"] = step.trained_parameters()
    check_equal_work(name, ours, theirs)
    return {"ours": ours, "theirs": theirs}


def transitions(name: str, reference: Reference | None, setting: Setting) -> Pair:
    """Memory transitions trained: ours at many timesteps of each sequence, theirs at one (workload B)."""
    batch = random_batch(setting, setting.context + setting.future)
    module = SMTModule(**smt_options(setting, {}))
    pair = smt_pair(name, reference, setting, module, batch)
    timesteps = module.draw_timesteps(Step.alone(batch))
    trained = int((timesteps < batch.inputs.shape[1] - 1).sum())
    ours = replace(pair.ours, units=setting.batch * trained)
    return replace(pair, ours=ours, theirs=pair.theirs and replace(pair.theirs, units=setting.batch))


def dmt(name: str, reference: Reference | None, setting: Setting, gradient: str) -> Pair:
    """A DMT step (workload C)."""
    batch = random_batch(setting, setting.context + setting.rollout + setting.future)
    through_time = gradient == "through_time"
    module = AuthorsDMT(
        context=setting.context,
        interface=setting.size.interface,
        network=setting.size.network(),
        trajectory=Sequential() if through_time else Detached(),
        windows=Windows(label_stride=setting.label_stride),
        **OPTIMIZER,
    )
    rolled = setting.context + setting.rollout  # the tokens after it serve their decoder losses alone
    ours = our_step(module, first_timesteps(batch, rolled))
    if reference is None:
        return Pair(Side(ours), None, {})
    networks = reference.networks(setting.size)
    carry_teacher(networks[0], module.teacher)
    carry_rnn(networks[1], module.rnn, readout=True)
    loss = partial(dmt_loss, reference, networks, as_theirs(batch), setting, through_time)
    theirs = their_step(networks, loss, (networks[1],))
    lengths = {"batch": setting.batch, "terms": ["imitation", "readout"]}
    labels = setting.rollout // setting.label_stride
    work = compared_work(
        name,
        (ours, theirs),
        our_work(module.teacher, module.rnn, rollout=setting.rollout, labels=labels, **lengths),
        their_work(*networks, rollout=loss()["loss_readout_"].shape[1], labels=loss()["z_enc"].shape[1], **lengths),
    )
    return Pair(Side(ours), Side(theirs), work)


def bptt(name: str, reference: Reference | None, setting: Setting) -> Pair:
    """A step of BPTT through a whole sequence (workload D)."""
    batch = random_batch(setting, setting.rollout)
    module = BPTTModule(interface=setting.size.interface, network=setting.size.network(), **OPTIMIZER)
    ours = our_step(module, batch)
    if reference is None:
        return Pair(Side(ours), None, {})
    networks = reference.networks(setting.size)
    carry_rnn(networks[1], module.rnn, readout=True)
    theirs = their_step(networks, partial(bptt_loss, reference, networks, as_theirs(batch), setting), (networks[1],))
    lengths = {"batch": setting.batch, "length": setting.rollout, "terms": ["readout"]}
    work = compared_work(
        name, (ours, theirs), our_work(None, module.rnn, **lengths), their_work(None, networks[1], **lengths)
    )
    return Pair(Side(ours), Side(theirs), work)


def generation(name: str, reference: Reference | None, setting: Setting, onnx_threads: int | None = None) -> Pair:
    """Tokens that the RNN writes on its own, after one token of prompt (workload E).

    Args:
        name: of the workload.
        reference: the authors' code, or None.
        setting: sizes of the work.
        onnx_threads: run our side in ONNX Runtime with so many threads; None: in torch.
    """
    rnn = RNN(setting.size.network(), setting.size.interface).eval().requires_grad_(False)
    prompt = torch.randint(setting.size.vocabulary, (setting.batch, 1))
    model = rnn if onnx_threads is None else exported(rnn, setting.size.interface, onnx_threads)
    ours = Side(lambda: generate_tokens(model, prompt, setting.rollout), units=setting.rollout)
    if reference is None:
        return Pair(ours, None, {})
    _, theirs = reference.networks(setting.size)
    carry_rnn(theirs.eval(), rnn, readout=True)
    write = partial(reference.model.write_with_rnn, theirs, prompt, 1, setting.rollout)
    rest = {"batch": setting.batch, "terms": []}
    work = {
        "ours": our_work(None, rnn, parameters=count(rnn), length=ours.run().shape[1], **rest),  # type: ignore[attr-defined]
        "theirs": their_work(None, theirs, parameters=count(theirs), length=write()["x_write"].shape[1], **rest),
    }
    check_equal_work(name, **work)
    return Pair(ours, Side(write, units=setting.rollout), work)


def exported(rnn: RNN, interface: Interface, threads: int) -> ExportedModel:
    """The same RNN in ONNX Runtime."""
    step, onnx = ExportStep(rnn), FORMATS["onnx"]
    with TemporaryDirectory() as folder:
        onnx.write(step, example_inputs(interface.inputs, 2, torch.Generator()), Path(folder))
        run = onnx.run(Path(folder), {}, threads)
    return ExportedModel(run, step.initial_memory(1), interface)


def count(module: nn.Module) -> int:
    """The number of parameters."""
    return sum(p.numel() for p in module.parameters())


def batches(data: SequenceDataModule) -> Callable[[], object]:
    """Reads two whole blocks of training samples, none of which has been drawn before."""
    data.setup("fit")
    loader = iter(data.train_dataloader())
    reads = 2 * BLOCK_SIZE // data.batch_size

    def read() -> None:
        for _ in range(reads):
            next(loader)

    return read


def stack_data(name: str, reference: Reference | None, setting: Setting) -> Pair:
    """Batches of the stack probe (workload G)."""
    ours = Stack(length=setting.context, symbols=4, capacity=10, batch_size=setting.batch, evaluation_samples=16)
    side = Side(batches(ours), units=2 * BLOCK_SIZE // setting.batch)
    if reference is None:
        return Pair(side, None, {})
    theirs = reference.synthetic.StackDataset(n_elements=4, max_stack_size=10)
    inputs = theirs.sample_batch(setting.batch, setting.context)["x"]
    drawn = next(iter(ours.train_dataloader())).inputs
    work = {
        "ours": {"shape": list(drawn.shape), "vocabulary": ours.vocabulary_size},
        "theirs": {"shape": list(inputs.shape), "vocabulary": theirs.vocab_size},
    }
    check_equal_work(name, **work)
    return Pair(side, Side(partial(theirs.sample_batch, setting.batch, setting.context)), work)


class PlainGRU(nn.Module):
    """What a user would write without us: embedding, fused GRU, linear readout.

    Args:
        vocabulary: number of tokens, V.
        width: features of an embedded token.
        hidden: features of the state.
    """

    def __init__(self, vocabulary: int, width: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.gru = nn.GRU(width, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, vocabulary)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The cross-entropy of `targets` `[B, T]` after `inputs` `[B, T]`."""
        states, _ = self.gru(self.embedding(inputs))
        return nn.functional.cross_entropy(self.readout(states).flatten(0, 1), targets.flatten())


def gru(name: str, reference: Reference | None, setting: Setting) -> Pair:
    """A BPTT step of our gru cell, and of plain PyTorch (workload H)."""
    size, batch = setting.size, random_batch(setting, setting.rollout)
    network = NetworkOptions(
        width=size.width,
        memory_tokens=size.memory_tokens,
        memory_normalization="tanh",
        readout="linear",
        cell=GRUCell,
    )
    module = BPTTModule(interface=size.interface, network=network, **OPTIMIZER)
    plain = PlainGRU(size.vocabulary, size.width, size.width * size.memory_tokens)
    parameters = list(plain.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, betas=BETAS)
    theirs = OptimizerStep(lambda: plain(batch.inputs, batch.targets), [parameters], optimizer)
    ours = our_step(module, batch)
    work = compared_work(name, (ours, theirs), {"terms": ["readout"]}, {"terms": ["readout"]})
    return Pair(Side(ours), Side(theirs), work)


def data_supply(name: str, reference: Reference | None, setting: Setting, probe: str) -> Pair:
    """Samples produced, against samples that the first stage of the probe's experiment trains on (workload I)."""
    experiment = read_experiment(EXPERIMENTS / probe / "grid.yaml", methods=["smt_dmt"], seeds=[0])
    plan = plan_stages(experiment, Run("smt_dmt", experiment.difficulties[0], seed=0), options={})[0]
    built = MemtrainCLI(plan.configuration, record=False)
    built.datamodule.setup("fit")
    batch = next(iter(built.datamodule.train_dataloader()))
    step = our_step(built.model, batch)
    samples = len(batch.index)
    return Pair(Side(batches(built.datamodule), units=2 * BLOCK_SIZE), Side(step, units=samples), {})
