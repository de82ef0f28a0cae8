"""Every kind of output goes through all stages, is evaluated by regime, and comes back from its checkpoint."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tiny import NETWORK
from tiny_numbers import OUTPUTS, NumberBatches, interface, random_batch

from memtrain.networks import CausalTransformer, Gaussian
from memtrain.training import BPTTModule, DMTModule, SMTModule, TeacherModule
from memtrain.training.evaluation import Evaluation, predict
from memtrain.training.loading import load_module
from memtrain.training.step import Step
from memtrain.trajectory import Windows


@pytest.fixture(params=OUTPUTS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_all_stages_train_and_say_their_numbers(name, make_trainer, tmp_path: Path) -> None:
    source: Path | None = None
    for stage in (TeacherModule, SMTModule, DMTModule, BPTTModule):
        options = {"network": NETWORK} if source is None else {"init_from": str(source)}
        if stage in (DMTModule, BPTTModule):
            options |= {"windows": Windows(starts=3, length=[2, 4])}
        trainer, data = make_trainer(3), NumberBatches(name)
        module = stage(interface=interface(name), **options)
        before = {key: value.clone() for key, value in module.state_dict().items()}
        trainer.fit(module, datamodule=data)
        after = module.state_dict()
        assert all(value.isfinite().all() for value in after.values())
        assert any(not torch.equal(after[key], value) for key, value in before.items())
        source = tmp_path / f"{stage.stage}.ckpt"
        trainer.save_checkpoint(source)
        (metrics,) = trainer.validate(module, datamodule=data, verbose=False)
        (outputs, (*_, reading)) = OUTPUTS[name], module.models
        wanted = {f"val/{reading}/{key}" for key in [*outputs.names, *outputs.further()]}
        assert wanted <= metrics.keys()
        assert not any("bits" in key for key in metrics)
        assert all(value == value for value in metrics.values())
        assert f"val/{reading}/{module.models[reading].head.score}" in metrics
    again = load_module(source)
    assert again.interface == module.interface
    torch.testing.assert_close(again.state_dict(), module.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("stage", [SMTModule, BPTTModule])
def test_gradients_reach_every_parameter_of_a_head(name, stage, make_trainer) -> None:
    module = stage(interface=interface(name), network=NETWORK)
    module.trainer = make_trainer()
    sum(module.losses(Step.alone(random_batch(name, seed, size=8))).loss for seed in range(3)).backward()
    (*_, model) = module.models.values()
    for key, parameter in model.head.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().sum() > 0, key


def test_predictions_of_each_sample_have_all_numbers(name, make_trainer) -> None:
    module = BPTTModule(interface=interface(name), network=NETWORK)
    rows = make_trainer().predict(module, datamodule=NumberBatches(name))
    assert rows is not None
    assert [len(row["index"]) for row in rows] == [3, 2]
    assert {*rows[0]} == {*OUTPUTS[name].names, "index", "targets"}


def evaluation_of(name: str, batches: list[int]) -> dict[str, torch.Tensor]:
    """An evaluation of one model on batches of these seeds."""
    torch.manual_seed(0)
    model = CausalTransformer(width=8, heads=2, head_dimension=4, layers=1, interface=interface(name))
    evaluation = Evaluation(("model",), OUTPUTS[name])
    with torch.no_grad():
        for seed in batches:
            evaluation.update(predict({"model": model}, random_batch(name, seed, 2 + seed)))
    return evaluation.compute()


def test_numbers_of_a_regime_are_means_over_its_targets_in_all_batches() -> None:
    torch.manual_seed(0)
    model = CausalTransformer(width=8, heads=2, head_dimension=4, layers=1, interface=interface("gaussian"))
    found, losses = evaluation_of("gaussian", [0, 1]), []
    for seed in (0, 1):
        batch = random_batch("gaussian", seed, 2 + seed)
        parameters = model.outputs(batch.inputs, torch.arange(7), batch.ahead)
        inside = batch.mask & (batch.regime == 1).unsqueeze(-1)
        losses += model.head.loss(parameters, batch.targets, batch.mask)[inside].tolist()
    assert float(found["model/loss_storm"]) == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_a_regime_that_never_comes_is_left_out() -> None:
    outputs = Gaussian(OUTPUTS["gaussian"].channels, regimes=["storm", "flood"])  # type: ignore[attr-defined]
    evaluation = Evaluation(("model",), outputs)
    model = CausalTransformer(width=8, heads=2, head_dimension=4, layers=1, interface=interface("gaussian"))
    model.head = outputs.head(8)
    model.head.foresight = None
    batch = random_batch("gaussian")
    with torch.no_grad():
        evaluation.update(predict({"model": model}, batch))
    values = evaluation.compute()
    assert "model/loss_storm" in values
    assert "model/loss_flood" not in values


def _rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    found = {name: evaluation_of(name, [0] if rank == 0 else [1, 2]) for name in ("gaussian", "event", "several")}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_with_uneven_batches_agree_with_one_process(tmp_path: Path) -> None:
    """Means of groups, and numbers of the whole split, which are no means."""
    mp.spawn(_rank, (str(tmp_path),), nprocs=2)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, values in found.items():
            torch.testing.assert_close(values, evaluation_of(name, [0, 1, 2]))
            assert {"model/loss_storm", "model/auprc", "model/auprc_event"} & values.keys()
