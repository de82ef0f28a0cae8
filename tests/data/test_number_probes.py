"""What holds for every probe of numbers, checked on what its loaders yield, and on what a model sees."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import Trainer

from memtrain.batch import SequenceBatch
from memtrain.data import ActionHistory, AddingProblem, EventTiming, ExogenousLag, Regimes
from memtrain.data.probes import NumberProbe
from memtrain.data.probes.event_timing import BACKGROUND, bayes_hazards
from memtrain.data.probes.numbers import NumberProbeDataset, Series
from memtrain.metrics import event_time_error
from memtrain.networks import NetworkOptions
from memtrain.networks.channels import Channels
from memtrain.training import BPTTModule, DMTModule, SMTModule, TeacherModule
from memtrain.training.step import Step

PROBES = [
    (AddingProblem, {"length": 9}),
    (Regimes, {"rare": 5, "length": 13}),
    (EventTiming, {"delay": 4, "spread": 1, "length": 17}),
    (ExogenousLag, {"lag": 3, "length": 11}),
    (ActionHistory, {"length": 12, "fix_every": 3}),
]
every_probe = pytest.mark.parametrize(("probe", "options"), PROBES, ids=lambda value: getattr(value, "__name__", None))


def series_of(data: NumberProbe, samples: int) -> Series:
    dataset = data.dataset("test")
    assert isinstance(dataset, NumberProbeDataset)
    return dataset.series(np.arange(samples))


@every_probe
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_batches_are_what_the_interface_says(split: Any, probe: Any, options: dict[str, Any]) -> None:
    data = probe(evaluation_samples=64, **options)
    batch = data.dataset(split).__getitems__(range(40))
    inputs, outputs = data.interface().inputs, data.interface().outputs
    length, targets = data.sequence_length, len(outputs.channels)
    assert batch.inputs.shape == (40, length, 2 * len(inputs.channels))
    assert batch.targets.shape == batch.mask.shape == (40, length, targets)
    assert (batch.inputs.dtype, batch.targets.dtype, batch.mask.dtype) == (torch.float32, torch.float32, torch.bool)
    assert (batch.ahead is not None) == any(channel.ahead for channel in inputs.channels)
    assert (batch.regime is not None) == bool(data.regime_names)
    assert outputs.regimes == data.regime_names  # so that loss_rare is logged beside best_possible_loss_rare
    if batch.regime is not None:
        assert set(batch.regime.unique().tolist()) == set(range(len(data.regime_names) + 1))
    parameters = outputs.head(8)(torch.zeros(40, length, 8))
    assert outputs.head(8).loss(parameters, batch.targets, batch.mask).shape == batch.targets.shape


@every_probe
def test_the_best_possible_loss_is_below_the_memoryless_one_also_by_regime(probe: Any, options: dict[str, Any]) -> None:
    data = probe(evaluation_samples=400, **options)
    lines = data.reference_lines()
    names = ["", *(f"_{regime}" for regime in data.regime_names)]
    assert set(lines) == {f"{which}_loss{name}" for which in ("best_possible", "memoryless") for name in names}
    for name in names:
        assert lines[f"best_possible_loss{name}"] < lines[f"memoryless_loss{name}"] - 0.005
    assert probe(evaluation_samples=400, seed=7, **options).reference_lines() == lines


def test_a_regime_without_targets_in_the_test_split_has_no_reference_lines() -> None:
    assert set(Regimes(rare=100_000, length=4, evaluation_samples=8).reference_lines()) == {
        "best_possible_loss", "memoryless_loss",
    }  # fmt: skip


@every_probe
@pytest.mark.parametrize("t", [3, 7])
def test_nothing_that_is_observed_at_the_next_row_is_seen_before_it_is_predicted(
    t: int, probe: Any, options: dict[str, Any]
) -> None:
    data = probe(**options)
    channels = data.channels()
    series = data.generator()(np.random.default_rng(0), 30)
    observed = [i for i, channel in enumerate(channels) if channel.role == "observed"]
    changed = series.rows.copy()
    changed[:, t + 1 :, observed] = 1.5 - np.nan_to_num(changed[:, t + 1 :, observed])

    def seen(rows: np.ndarray) -> SequenceBatch:
        drawn = series._replace(rows=rows)
        dataset = NumberProbeDataset(lambda _, __: drawn, Channels(channels), True, 0, "train", 30)
        return dataset.batch(np.arange(30))

    before, after = seen(series.rows), seen(changed)
    assert torch.equal(before.inputs[:, : t + 1], after.inputs[:, : t + 1])
    assert not torch.isclose(before.inputs[:, t + 1 :, observed], after.inputs[:, t + 1 :, observed]).any()
    if before.ahead is not None:
        assert after.ahead is not None
        assert torch.equal(before.ahead, after.ahead)  # of the next rows only what is known of them


@every_probe
def test_what_is_ahead_is_what_the_next_row_shows_of_known_channels_and_actions(
    probe: Any, options: dict[str, Any]
) -> None:
    data = probe(**options)
    batch = data.dataset("train").__getitems__(range(20))
    ahead = [i for i, channel in enumerate(data.channels()) if channel.ahead]
    if batch.ahead is None:
        assert not ahead
        return
    values = batch.ahead[:, :-1, 0::2]
    assert torch.equal(values, batch.inputs[:, 1:, ahead])
    assert (batch.ahead[..., 1::2] == 1).all()


@every_probe
def test_the_best_predictor_uses_the_past_alone(probe: Any, options: dict[str, Any]) -> None:
    data = probe(**options)
    series = data.generator()(np.random.default_rng(0), 30)
    known = [i for i, channel in enumerate(data.channels()) if channel.ahead]
    t = data.sequence_length - 3
    changed = series.rows.copy()
    later = np.random.default_rng(1).permutation(30)
    changed[:, t + 1 :] = changed[later, t + 1 :]
    changed[:, t + 1, known] = series.rows[:, t + 1, known]
    targets = series.targets.copy()
    if probe in (Regimes, EventTiming):  # whose losses are read off the rows
        changed[:, t + 1, 0 if probe is Regimes else 1] = series.rows[:, t + 1, 0 if probe is Regimes else 1]
    for losses in (data.bayes_losses, data.memoryless_losses):
        before, after = losses(series), losses(Series(changed, targets, series.mask, series.regime))
        chosen = series.mask[:, : t + 1]
        assert np.array_equal(before[:, : t + 1][chosen], after[:, : t + 1][chosen])


@every_probe
def test_splits_and_seeds_have_series_of_their_own(probe: Any, options: dict[str, Any]) -> None:
    long = options | {"length": 200}  # 0s and 1s of few rows may agree by chance
    parts = [(0, "train"), (1, "train"), (0, "val"), (0, "test")]
    rows = [
        {sample.numpy().tobytes() for sample in probe(seed=seed, **long).dataset(split).__getitems__(range(500)).inputs}
        for seed, split in parts  # type: ignore[arg-type]
    ]
    assert [len(part) for part in rows] == [500] * 4
    assert len(set.union(*rows)) == 2000
    for split in ("val", "test"):
        a, b = (probe(seed=seed, **options).dataset(split).__getitems__(range(50)) for seed in (0, 1))
        assert torch.equal(a.inputs, b.inputs)
        assert torch.equal(a.targets, b.targets)


@every_probe
@settings(max_examples=10, deadline=None)
@given(indices=st.lists(st.integers(0, 10**9), min_size=1, max_size=6))
def test_a_sample_is_a_function_of_its_index_alone(probe: Any, options: dict[str, Any], indices: list[int]) -> None:
    together = probe(**options).dataset("train").__getitems__(indices)
    dataset = probe(**options).dataset("train")
    alone = [dataset[index] for index in reversed(indices)][::-1]
    assert together.index.tolist() == indices
    for position, sample in enumerate(alone):
        for name in SequenceBatch._fields:
            whole, part = getattr(together, name), getattr(sample, name)
            assert (whole is None and part is None) or torch.equal(whole[position], part)


@settings(max_examples=25, deadline=None)
@given(delay=st.integers(2, 12), spread=st.integers(0, 11), seed=st.integers(0, 1000))
def test_every_event_that_is_not_background_is_due(delay: int, spread: int, seed: int) -> None:
    spread = min(spread, delay - 1)
    data = EventTiming(delay=delay, spread=spread, length=delay + spread + 30)
    series = data.generator()(np.random.default_rng(seed), 20)
    hazards = bayes_hazards(series.rows, delay, spread)
    assert ((hazards > BACKGROUND + 1e-9) == (series.regime == 1)).all()
    assert hazards.min() > 0
    assert hazards.max() < 1
    first_cue = np.where(series.rows[..., 0].any(axis=1), series.rows[..., 0].argmax(axis=1), np.inf)
    t = np.arange(series.regime.shape[1])
    assert not series.regime[t[None] + 1 < (first_cue + delay - spread)[:, None]].any()


def test_the_true_hazard_finds_the_time_of_an_event_that_one_remembers_the_cue_of() -> None:
    data = EventTiming(delay=8, spread=1, length=40)
    batch = data.dataset("test").__getitems__(range(500))
    samples, timesteps = data.windows(batch)
    assert timesteps.shape[1] == 9
    assert (batch.inputs[samples, timesteps[:, :1], 0] == 1).all()  # windows begin at their cue
    assert int(timesteps.max()) == 39
    events = batch.targets[samples, timesteps, 0] > 0
    hazards = torch.from_numpy(bayes_hazards(series_of(data, 500).rows, 8, 1))
    known = event_time_error(hazards[samples, timesteps], events).nanmean()
    guessed = event_time_error(torch.rand(events.shape, generator=torch.Generator().manual_seed(0)), events).nanmean()
    assert known < 1.2
    assert guessed > 2.5


@pytest.mark.parametrize(
    ("probe", "options", "sentence"),
    [
        (AddingProblem, {"length": 3}, "data.length is 3, but must be at least 4; choose for example 64"),
        (AddingProblem, {"noise": 0.0}, "data.noise is 0.0, but must lie between 0.01 and 10; choose"),
        (AddingProblem, {"noise": float("nan")}, "data.noise is nan, but must lie between"),
        (Regimes, {"rare": 2}, "data.rare is 2, but must be at least 3; choose for example 100"),
        (Regimes, {"length": 1}, "data.length is 1, but must be at least 2"),
        (EventTiming, {"delay": 1}, "data.delay is 1, but must be at least 2; choose for example 32"),
        (
            EventTiming,
            {"delay": 4, "spread": 4},
            "data.spread is 4, but must lie between 0 and 3; choose",
        ),
        (
            EventTiming,
            {"delay": 64, "length": 66},
            "data.length is 66, but must be at least 67; choose for",
        ),
        (ExogenousLag, {"lag": 1}, "data.lag is 1, but must be at least 2; choose for example 16"),
        (ExogenousLag, {"lag": 65}, "data.length is 64, but must be at least 65; choose for example 260"),
        (ExogenousLag, {"noise": 11.0}, "data.noise is 11.0, but must lie between"),
        (ActionHistory, {"length": 1}, "data.length is 1, but must be at least 2"),
        (ActionHistory, {"fix_every": 0}, "data.fix_every is 0, but must be at least 1; choose for example 32"),
    ],
)
def test_options_that_make_no_probe_are_refused(probe: Any, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        probe(**options)


@every_probe
def test_the_difficulty_has_a_name_and_does_not_change_the_network(probe: Any, options: dict[str, Any]) -> None:
    easy = probe(**options)
    hard = probe(**options | {easy.difficulty_name: easy.difficulty + 1})
    assert hard.difficulty == easy.difficulty + 1
    assert hard.interface() == easy.interface()


@every_probe
@pytest.mark.parametrize("stage", [TeacherModule, SMTModule, DMTModule, BPTTModule])
def test_a_tiny_network_trains_a_step_in_every_stage(stage: Any, probe: Any, options: dict[str, Any]) -> None:
    data = probe(batch_size=4, **options)
    network = NetworkOptions(width=8, memory_tokens=2, heads=2, head_dimension=4, encoder_layers=1)
    module = stage(interface=data.interface(), network=network)
    module.trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    step = Step.alone(data.dataset("train").__getitems__(range(4)))
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=1e-3)
    before = module.losses(step).loss
    before.backward()
    optimizer.step()
    assert module.losses(step).loss < before
