"""Heads of numbers: what they predict at first, their losses, scores, draws, groups, and what a missing target does."""

import math

import pandas as pd
import pytest
import torch
from torch import Tensor
from utilsforecast.losses import mase

from memtrain.batch import Targets
from memtrain.networks import (
    Bernoulli,
    Channel,
    Gaussian,
    Mixture,
    NegativeBinomial,
    NumberOutputs,
    Quantiles,
    StudentT,
)

CHANNELS = [Channel("load", center=50.0, scale=20.0), Channel("price")]
OUTPUTS: dict[str, NumberOutputs] = {
    "gaussian": Gaussian(CHANNELS),
    "student": StudentT(CHANNELS),
    "mixture": Mixture(CHANNELS),
    "heavy mixture": Mixture(CHANNELS, components=2, heavy_tails=True),
    "binomial": NegativeBinomial(CHANNELS, means=[5.0, 0.2]),
    "event": Bernoulli(CHANNELS, rates=[0.01, 0.5]),
    "quantiles": Quantiles(CHANNELS),
}
ONE = [Channel("load")]


@pytest.fixture(params=OUTPUTS)
def outputs(request: pytest.FixtureRequest) -> NumberOutputs:
    return OUTPUTS[request.param]


def targets_for(outputs: NumberOutputs, *shape: int) -> Tensor:
    """Numbers, counts or events, `[*shape, 2]`, float64."""
    if isinstance(outputs, Bernoulli):
        return torch.randint(0, 2, (*shape, 2)).double()
    return torch.poisson(torch.full((*shape, 2), 3.0)).double() if isinstance(outputs, NegativeBinomial) else (
        torch.randn(*shape, 2).double()
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "mean", "spread"),
    [
        ("gaussian", [0, 0], [1, 1]),
        ("student", [0, 0], [(5 / 3) ** 0.5] * 2),
        ("mixture", [0, 0], [1, 1]),
        ("binomial", [5, 0.2], [30**0.5, 0.24**0.5]),
        ("event", [0.01, 0.5], [0.0099**0.5, 0.5]),
    ],
)
def test_without_features_a_head_predicts_the_training_split(name: str, mean: list[float], spread: list[float]) -> None:
    """Scaled: mean 0 and scale 1; counts and events have the mean that training has."""
    head = OUTPUTS[name].head(3)
    first = head.distribution(head(torch.zeros(3)))
    torch.testing.assert_close(first.mean.float(), torch.tensor(mean).float())
    torch.testing.assert_close(first.stddev.float(), torch.tensor(spread).float())


def test_without_features_quantiles_are_those_of_the_standard_normal_distribution() -> None:
    head = Quantiles(ONE).head(3)
    found = head.quantiles(head(torch.zeros(3)), [0.025, 0.5, 0.9])
    torch.testing.assert_close(found, torch.tensor([[-1.95996, 0.0, 1.28155]]), rtol=1e-4, atol=1e-5)


def test_a_gaussian_loss_by_hand() -> None:
    """Mean 1, scale 2, target 3: `ln 2 + ln(2 pi) / 2 + 1/2`; the second target is missing."""
    head = Gaussian(ONE).head(1)
    raw = torch.tensor([[1.0, math.log(math.expm1(2 - 1e-3)) - math.log(math.expm1(1 - 1e-3))]]).expand(2, 2)
    losses = head.loss(raw, torch.tensor([[3.0], [0.0]]), torch.tensor([[True], [False]]))
    expected = math.log(2) + math.log(2 * math.pi) / 2 + 0.5
    torch.testing.assert_close(losses, torch.tensor([[expected], [0.0]]))


def test_shapes(outputs: NumberOutputs) -> None:
    head = outputs.head(4)
    parameters = head(torch.randn(3, 5, 4))
    assert parameters.shape == (3, 5, outputs.parameters)
    assert head.distribution(parameters).batch_shape == (3, 5, 2)
    assert head.quantiles(parameters, [0.1, 0.5, 0.9]).shape == (3, 5, 2, 3)
    assert head.sample(parameters[:, 0], 1.0, None).shape == (3, 2)
    targets = targets_for(outputs, 3, 5).float()
    numbers = head.metrics(parameters, targets, torch.ones_like(targets).bool())
    assert [*numbers] == [*outputs.metrics]
    assert all(values.shape == targets.shape and values.dtype == torch.float32 for values in numbers.values())


def test_gradients_of_the_loss_are_those_of_finite_differences(outputs: NumberOutputs) -> None:
    head, targets, mask = outputs.head(1), targets_for(outputs, 4), torch.rand(4, 2) < 0.7
    raw = torch.randn(4, outputs.parameters).double().requires_grad_()
    torch.autograd.gradcheck(lambda parameters: head.loss(parameters, targets, mask), (raw,))


@pytest.mark.parametrize("anything", [0.0, 1e30, -1e30])
def test_a_missing_target_changes_nothing_whatever_stands_there(outputs: NumberOutputs, anything: float) -> None:
    head = outputs.head(3)
    targets, mask = targets_for(outputs, 2), torch.tensor([[True, False], [False, False]])
    features = torch.randn(2, 3, requires_grad=True)
    parameters = head(features)
    losses = head.loss(parameters, targets.masked_fill(~mask, anything).float(), mask)
    losses.sum().backward()
    assert losses[~mask].eq(0).all()
    assert features.grad is not None
    assert features.grad[0].abs().max() > 0
    assert features.grad[1].eq(0).all()
    numbers = head.metrics(parameters.detach(), targets.masked_fill(~mask, anything).float(), mask)
    expected = head.metrics(parameters.detach(), targets.float(), mask)
    for name, values in numbers.items():
        assert torch.equal(values, expected[name])
        assert values[~mask].eq(0).all()


@pytest.mark.parametrize("size", [-200.0, -20.0, 20.0, 200.0])
def test_wild_parameters_and_targets_have_finite_losses_and_gradients(outputs: NumberOutputs, size: float) -> None:
    head = outputs.head(1)
    raw = torch.full((1, outputs.parameters), size, requires_grad=True)
    for target in (0.0, 1.0) if isinstance(outputs, Bernoulli) else (0.0, 10_000.0):
        losses = head.loss(raw, torch.full((1, 2), target), torch.ones(1, 2).bool())
        (gradient,) = torch.autograd.grad(losses.sum(), raw)
        assert losses.dtype == torch.float32
        assert losses.isfinite().all()
        assert gradient.isfinite().all()


def test_under_autocast_a_head_keeps_single_precision(outputs: NumberOutputs) -> None:
    head, features = outputs.head(4), torch.randn(2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        parameters = head(features)
        targets = targets_for(outputs, 2).float()
        losses = head.loss(parameters, targets, torch.ones(2, 2).bool())
    assert parameters.dtype == losses.dtype == torch.float32
    assert torch.equal(parameters, head(features))


def test_draws_are_as_frequent_as_the_distribution_says(outputs: NumberOutputs) -> None:
    """The ranks of draws: their share at or below any number is that number's probability."""
    head = outputs.head(1)
    raw = torch.randn(1, outputs.parameters)
    drawn = head.sample(raw.expand(4000, -1), 1.0, torch.Generator().manual_seed(0))
    own = head.distribution(raw)
    for level in (0.1, 0.5, 0.8):
        at = own.icdf(torch.full((), level))
        share = (drawn <= at + 1e-6).float().mean(0)
        expected = torch.full((2,), level) if isinstance(outputs, Quantiles) else own.cdf(at)[0].float()
        torch.testing.assert_close(share, expected, rtol=0, atol=0.03)


def test_temperature_scales_the_spread_and_zero_takes_the_median(outputs: NumberOutputs) -> None:
    head = outputs.head(1)
    raw = torch.randn(1, outputs.parameters)
    rows = raw.expand(4000, -1)
    median = head.distribution(raw).median.float()
    assert torch.allclose(head.sample(rows, 0.0, None), median.expand(4000, -1))
    if isinstance(outputs, Gaussian):
        half, whole = (head.sample(rows, heat, torch.Generator().manual_seed(0)) - median for heat in (0.5, 1.0))
        torch.testing.assert_close(half, whole / 2, rtol=1e-4, atol=1e-5)


def test_a_seed_gives_the_same_draws(outputs: NumberOutputs) -> None:
    head, raw = outputs.head(1), torch.randn(50, outputs.parameters)
    first, again, other = (head.sample(raw, 1.0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_quantiles_never_cross() -> None:
    raw = 10 * torch.randn(200, 2 * 7)
    values = Quantiles(CHANNELS).head(1).distribution(raw).values
    assert (values.diff(dim=-1) >= 0).all()


@pytest.mark.parametrize("name", ["gaussian", "student", "mixture", "heavy mixture", "quantiles", "binomial"])
def test_intervals_hold_their_share_of_what_is_drawn_from_them(name: str) -> None:
    outputs = OUTPUTS[name]
    head, raw = outputs.head(1), torch.zeros(3000, outputs.parameters)
    drawn = head.sample(raw, 1.0, torch.Generator().manual_seed(0))
    numbers = head.metrics(raw, drawn, torch.ones_like(drawn).bool())
    for metric, share in (("coverage_80", 0.8), ("coverage_95", 0.95)):
        found = numbers[metric].mean(0)
        if name == "binomial":  # an interval of counts holds what it must at least
            assert (found >= share - 0.03).all()
        else:
            expected = torch.full((2,), 1.0 if (name, metric) == ("quantiles", "coverage_95") else share)
            torch.testing.assert_close(found, expected, rtol=0, atol=0.03)


def test_coverage_by_hand() -> None:
    """The central 80 % of the standard normal distribution end at 1.2816, the central 95 % at 1.96."""
    targets = torch.tensor([[-1.3], [-1.28], [0.0], [1.95], [1.97]])
    numbers = Gaussian(ONE).head(1).metrics(torch.zeros(5, 2), targets, torch.ones(5, 1).bool())
    assert numbers["coverage_80"].flatten().tolist() == [0, 1, 1, 0, 0]
    assert numbers["coverage_95"].flatten().tolist() == [1, 1, 1, 1, 0]


def test_quantiles_say_nothing_of_intervals_beyond_them() -> None:
    assert "coverage_95" not in Quantiles(ONE, levels=[0.1, 0.5, 0.9]).metrics
    assert "coverage_80" in Quantiles(ONE, levels=[0.1, 0.5, 0.9]).metrics
    assert "coverage_80" not in Quantiles(ONE, levels=[0.2, 0.8]).metrics


def test_quantiles_are_compared_by_the_crps_that_they_are_trained_by() -> None:
    head = Quantiles(ONE).head(1)
    assert (head.score, head.higher_is_better) == ("crps", False)
    raw, targets, mask = torch.randn(5, 7), torch.randn(5, 1), torch.ones(5, 1).bool()
    torch.testing.assert_close(head.loss(raw, targets, mask), head.metrics(raw, targets, mask)["crps"])


def test_mase_is_that_of_utilsforecast() -> None:
    """A series of weekly season; the seasonal errors are those of its history."""
    history, future = torch.randn(70).cumsum(0), torch.randn(10)
    seasonal = float((history[7:] - history[:-7]).abs().mean())
    head = Gaussian(ONE, seasonal_errors=[seasonal]).head(1)
    raw = torch.randn(10, 2)
    found = head.metrics(raw, future.unsqueeze(-1), torch.ones(10, 1).bool())["mase"].mean()
    frame = pd.DataFrame({"unique_id": 0, "ds": range(80), "y": [*history.tolist(), *future.tolist()]})
    forecasts = frame[70:].assign(model=raw[:, 0].tolist())
    expected = mase(forecasts, ["model"], seasonality=7, train_df=frame[:70])["model"].item()
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_groups_are_regimes_and_extremes() -> None:
    """Losses of a standard normal distribution rise with the distance from 0: half of the square."""
    outputs = Gaussian(CHANNELS, regimes=["storm", "flood"], extremes=[2.0, 5.0])
    values = torch.tensor([[[1.0, 0.0], [3.0, -6.0]], [[2.0, 4.0], [0.0, 0.0]]])
    mask = torch.tensor([[[True, True], [True, True]], [[True, True], [True, False]]])
    scores = outputs.head(1).scores(torch.zeros(2, 2, 4), Targets(values, mask, None, torch.tensor([[1, 0], [0, 1]])))
    assert [*scores] == outputs.names
    base = math.log(2 * math.pi) / 2
    for name, members in {"storm": [1.0, 0.0, 0.0], "extreme": [3.0, -6.0, 2.0], "flood": []}.items():
        losses, inside = scores[f"loss_{name}"]
        assert int(inside.sum()) == len(members)
        expected = sum(member**2 / 2 + base for member in members)
        assert float(losses.sum()) == pytest.approx(expected, rel=1e-5)
        assert float(scores[f"mae_{name}"].values.sum()) == pytest.approx(sum(map(abs, members)))


def test_named_regimes_need_targets_that_say_where_they_lie() -> None:
    head = Gaussian(ONE, regimes=["storm"]).head(1)
    with pytest.raises(ValueError, match="outputs have the regimes storm, but the batches have no regime; set it"):
        head.scores(torch.zeros(1, 1, 2), Targets(torch.zeros(1, 1, 1), torch.ones(1, 1, 1).bool()))


def test_the_score_is_the_loss_or_any_other_number() -> None:
    gaussian, event = (
        Gaussian(ONE, regimes=["storm"], score="crps_storm").head(1),
        Bernoulli(ONE, score="auprc").head(1),
    )
    assert (gaussian.score, gaussian.higher_is_better) == ("crps_storm", False)
    assert (event.score, event.higher_is_better) == ("auprc", True)
    assert (Gaussian(ONE).head(1).score, Gaussian(ONE).head(1).higher_is_better) == ("loss", False)


def test_without_means_counts_are_as_large_as_their_channel_says() -> None:
    outputs = NegativeBinomial([Channel("cars", center=30.0, scale=9.0), Channel("trucks", scale=4.0)])
    assert outputs.distribution(torch.zeros(2, 2)).mean.tolist() == pytest.approx([30.0, 4.0])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Gaussian([]), r"^channels are \[\], but must be at least one"),
        (lambda: Gaussian([ONE[0], ONE[0]]), r"channels are \['load', 'load'\], .* with different names"),
        (lambda: Gaussian(ONE, score="accuracy"), "^score is accuracy, but must be one of loss, mae, crps.$"),
        (lambda: Gaussian(ONE, score="coverage_80"), "^score is coverage_80, but must be one of loss"),
        (lambda: Gaussian(ONE, score="loss_storm"), "^score is loss_storm, but"),
        (lambda: Gaussian(ONE, extremes=[1.0, 2.0]), r"extremes are \[1.0, 2.0\], but must be a number above 0"),
        (lambda: Gaussian(ONE, seasonal_errors=[0.0]), r"seasonal_errors are \[0.0\].* leave out a channel that never"),
        (lambda: Gaussian(ONE, regimes=["storm", "storm"]), "must have different names; rename some regimes"),
        (lambda: Gaussian(ONE, regimes=["extreme"], extremes=[1.0]), "must have different names; rename some regimes"),
        (lambda: Mixture(ONE, components=0), "components is 0, but must be at least 1"),
        (lambda: NegativeBinomial(ONE, means=[-1.0]), r"means are \[-1.0\], but must be a number above 0"),
        (lambda: Bernoulli(ONE, rates=[1.0]), r"rates is \[1.0\], but must be between 0 and 1"),
        (lambda: Bernoulli(ONE, false_alarm_rate=0.0), r"false_alarm_rate is \[0.0\], but must be between 0 and 1"),
        (lambda: Quantiles(ONE, levels=[0.5, 0.1]), r"levels are \[0.5, 0.1\], but must ascend between 0 and 1"),
        (lambda: Quantiles(ONE, levels=[]), r"levels are \[\]"),
        (lambda: Quantiles(ONE, score="loss"), "score is loss, but quantiles have no likelihood"),
    ],
)  # fmt: skip
def test_descriptions_that_make_no_sense_are_refused_in_a_sentence(make, sentence) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=sentence):
        make()
