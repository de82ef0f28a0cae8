"""Distributions of one number against scipy and scoringrules, and against their own definitions."""

import numpy as np
import pytest
import scoringrules
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torch.distributions import Categorical

from memtrain.networks.distributions import Bernoulli, Marginal, Mixture, NegativeBinomial, Normal, Quantiles, StudentT

LOCATION, SCALE = torch.tensor([[-1.0, 0.5, 40.0]]).double(), torch.tensor([[0.01, 1.0, 7.0]]).double()
DEGREES = torch.tensor([[2.1, 5.0, 300.0]]).double()
MEANS, COUNTS = torch.tensor([[0.02, 3.0, 2000.0]]).double(), torch.tensor([[0.1, 2.0, 50.0]]).double()
ODDS = (MEANS / COUNTS).log()
EVENTS = torch.tensor([[0.003, 0.5, 0.9]]).double()
CHOSEN = torch.tensor([[[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]]]).double()
PLACES, SPREADS = torch.tensor([0.0, 3.0]).double(), torch.tensor([1.0, 0.1]).double()
LEVELS = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9], dtype=torch.float64)


def parts(kind: type) -> Marginal:
    shape = (1, 3, 2)
    degrees = (torch.full(shape, 4.0).double(),) if kind is StudentT else ()
    return kind(*degrees, PLACES.expand(shape), SPREADS.expand(shape))


DENSITIES: dict[str, tuple[Marginal, object]] = {
    "normal": (Normal(LOCATION, SCALE), stats.norm(LOCATION, SCALE)),
    "student": (StudentT(DEGREES, LOCATION, SCALE), stats.t(DEGREES, LOCATION, SCALE)),
}
MIXTURES = {
    "mixture": Mixture(Categorical(CHOSEN), parts(Normal)),
    "heavy mixture": Mixture(Categorical(CHOSEN), parts(StudentT)),
}
BINOMIAL = NegativeBinomial(COUNTS, logits=ODDS)
QUANTILES = Quantiles(LEVELS, torch.tensor([[[-2.0, -1.0, 0.0, 1.0, 2.0]]]).double().expand(1, 3, 5))
ALL = {**{name: own for name, (own, _) in DENSITIES.items()}, **MIXTURES, "binomial": BINOMIAL,
       "event": Bernoulli(EVENTS), "quantiles": QUANTILES}  # fmt: skip


def close(found: Tensor, expected: object, **tolerance: float) -> None:
    torch.testing.assert_close(
        found, torch.as_tensor(np.asarray(expected)), **(tolerance or {"rtol": 1e-9, "atol": 1e-12})
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DENSITIES)
@pytest.mark.parametrize("offset", [-30.0, -1.0, 0.0, 0.3, 4.0])
def test_densities_are_scipys(name: str, offset: float) -> None:
    own, oracle = DENSITIES[name]
    value = LOCATION + offset * SCALE
    close(own.loss(value), -oracle.logpdf(value))  # type: ignore[attr-defined]
    close(own.cdf(value), oracle.cdf(value), rtol=1e-9, atol=1e-15)  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [0.0, 1.0, 17.0, 2500.0])
def test_counts_are_scipys(count: float) -> None:
    oracle = stats.nbinom(COUNTS, COUNTS / (COUNTS + MEANS))
    value = torch.full((1, 3), count).double()
    close(BINOMIAL.loss(value), -oracle.logpmf(value), rtol=1e-8, atol=1e-12)
    close(BINOMIAL.cdf(value), oracle.cdf(value))
    close(BINOMIAL.below(value), oracle.cdf(value - 1))
    close(BINOMIAL.mean, MEANS)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("level", [0.025, 0.1, 0.5, 0.77, 0.975])
def test_a_quantile_is_the_first_number_with_its_share_at_or_below_it(name: str, level: float) -> None:
    own = ALL[name]
    quantile = own.icdf(torch.full((), level, dtype=torch.float64))
    assert quantile.shape == (1, 3)
    if name == "quantiles" and not 0.1 <= level <= 0.9:
        assert quantile.abs().eq(2).all()  # nothing is known beyond
    else:
        assert (own.cdf(quantile) >= level - 1e-9).all()
        assert (own.below(quantile) <= level + 1e-9).all()


@pytest.mark.parametrize("name", ALL)
def test_the_median_is_the_quantile_of_one_half(name: str) -> None:
    own = ALL[name]
    torch.testing.assert_close(own.median, own.icdf(torch.full((), 0.5, dtype=torch.float64)))


def test_several_levels_stand_in_front() -> None:
    for own in ALL.values():
        levels = torch.tensor([0.2, 0.8]).double()
        found = own.icdf(levels.view(2, 1, 1))
        assert found.shape == (2, 1, 3)
        for i in range(2):
            torch.testing.assert_close(found[i], own.icdf(levels[i]))


@pytest.mark.parametrize("name", ["normal", "student", "mixture", "binomial"])
@pytest.mark.parametrize("offset", [-3.0, 0.2, 50.0])
def test_the_crps_is_twice_the_pinball_loss_over_all_levels(name: str, offset: float) -> None:
    """`2 integral of pinball_a(y, quantile_a) da` (Gneiting & Ranjan 2011), by 5,000 levels."""
    own = ALL[name]
    value = own.median + round(offset)
    levels = ((torch.arange(5000).double() + 0.5) / 5000).view(-1, 1, 1)
    error = value - own.icdf(levels)
    expected = 2 * torch.maximum(levels * error, (levels - 1) * error).mean(0)
    torch.testing.assert_close(own.crps(value), expected, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("count", [0.0, 2.0, 40.0])
def test_the_crps_of_counts_is_its_sum(count: float) -> None:
    own = NegativeBinomial(torch.tensor([0.5, 3.0]).double(), logits=torch.tensor([0.0, 1.5]).double())
    steps = torch.arange(2000.0).double().unsqueeze(-1)
    expected = (own.cdf(steps) - (steps >= count).double()).square().sum(0)
    close(own.crps(torch.full((2,), count).double()), expected, rtol=1e-6, atol=1e-9)


def test_an_event_has_briers_score() -> None:
    close(
        Bernoulli(torch.tensor([0.1, 0.1])).crps(torch.tensor([1.0, 0.0])), np.float32([0.81, 0.01]), rtol=1e-6, atol=0
    )


def test_pinball_losses_by_hand() -> None:
    """Quantiles 0 and 2 of levels 1/4 and 3/4, each with half of the probability; y = 1, then 3."""
    own = Quantiles(torch.tensor([0.25, 0.75]), torch.tensor([[0.0, 2.0], [0.0, 2.0]]))
    losses = own.loss(torch.tensor([1.0, 3.0]))
    torch.testing.assert_close(losses, torch.tensor([0.25 * 1 + 0.25 * 1, 0.25 * 3 + 0.75 * 1]))
    torch.testing.assert_close(own.mean, torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(own.cdf(torch.tensor([1.0, 3.0])), torch.tensor([0.5, 1.0]))


def test_quantiles_score_as_scoringrules_where_levels_are_equally_likely() -> None:
    value = torch.tensor([[-2.5, 0.1, 1.4]]).double()
    expected = scoringrules.crps_quantile(value.numpy(), QUANTILES.values.numpy(), LEVELS.numpy())
    close(QUANTILES.crps(value), expected)


def test_many_quantiles_score_as_their_distribution() -> None:
    levels = (torch.arange(2000).double() + 0.5) / 2000
    own = Quantiles(levels, torch.special.ndtri(levels))
    value = torch.tensor(0.7).double()
    torch.testing.assert_close(own.crps(value), Normal(torch.zeros(()).double(), 1.0).crps(value), rtol=1e-3, atol=0)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=2), st.floats(0.01, 20), st.floats(2.01, 80))
@settings(max_examples=50, deadline=None)
def test_ranks_of_quantiles_are_their_levels(ends: list[float], scale: float, degrees: float) -> None:
    level = torch.linspace(0.01, 0.99, 9).double()
    location = torch.tensor(ends[0]).double()
    own = StudentT(torch.tensor(degrees).double(), location, torch.tensor(scale).double())
    torch.testing.assert_close(own.cdf(own.icdf(level)), level)
    weights = Categorical(torch.tensor([0.3, 0.7]).double())
    mixture = Mixture(weights, Normal(torch.tensor(ends).double(), torch.tensor([scale, 1.0]).double()))
    torch.testing.assert_close(mixture.cdf(mixture.icdf(level)), level, rtol=1e-6, atol=1e-9)
