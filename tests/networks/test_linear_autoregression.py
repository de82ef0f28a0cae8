"""The linear autoregression: one product by hand, how far it looks back, and that it is linear in all it is given."""

import pytest
import torch
from torch import Tensor

from memtrain.networks import Channel, Channels, Gaussian, Interface, LinearAutoregression

CHANNELS = Channels([Channel("price"), Channel("holiday", role="known")])
INTERFACE = Interface(CHANNELS, Gaussian([Channel("price")]))


def rows_of(length: int) -> tuple[Tensor, Tensor]:
    """Packed rows `[2, T, 4]` and what is known of the row after each, `[2, T, 2]`."""
    rows = torch.randn(2, length + 1, 2).double().numpy()
    packed, ahead = CHANNELS.pack(rows)[:, :-1], CHANNELS.pack_ahead(rows)[:, 1:]
    return torch.from_numpy(packed).double(), torch.from_numpy(ahead).double()


def test_a_parameter_is_the_weighted_sum_of_the_last_rows_and_of_what_is_known_ahead() -> None:
    """Two lags of price and its flag: 10 x_{t-1} + x_t + 100 u_{t+1}, and 1000 for each of the two rows there are."""
    model = LinearAutoregression(INTERFACE, lags=2).double()
    with torch.no_grad():
        model.head.weight.zero_()
        # columns: price, holiday, their flags, of row t - 1; the same of row t; holiday and its flag of row t + 1
        model.head.weight[0] = torch.tensor([10, 0, 1000, 0, 1, 0, 1000, 0, 100, 0])
    inputs = torch.tensor([[[2, 0, 1, 1], [3, 0, 1, 1], [5, 0, 1, 1]]]).double()
    ahead = torch.tensor([[[1, 1], [0, 1], [1, 1]]]).double()
    means = model.outputs(inputs, torch.arange(3), ahead)[0, :, 0]
    assert means.tolist() == [2 + 100 + 1000, 20 + 3 + 2000, 30 + 5 + 100 + 2000]


def test_it_looks_back_on_as_many_rows_as_it_has_lags() -> None:
    model, (inputs, ahead) = LinearAutoregression(INTERFACE, lags=3).double(), rows_of(8)
    changed = inputs.clone()
    changed[:, 2, 0] += 1
    before, after = (model.outputs(x, torch.arange(8), ahead) for x in (inputs, changed))
    assert (before != after).any(-1).all(0).tolist() == [False, False, True, True, True, False, False, False]


@pytest.mark.parametrize("lags", [1, 3, 12])
def test_its_stream_equals_its_batch_form(lags: int) -> None:
    model, (inputs, ahead) = LinearAutoregression(INTERFACE, lags=lags).double(), rows_of(7)
    stream, state, streamed = model.prepared(), None, []
    for t in range(7):
        parameters, state = stream(inputs[:, t], state, ahead[:, t])
        streamed.append(parameters)
        assert state.shape == (2, lags - 1, 4)
    torch.testing.assert_close(torch.stack(streamed, dim=1), model.outputs(inputs, torch.arange(7), ahead))


def test_parameters_are_linear_in_rows_and_in_what_is_known_ahead() -> None:
    model = LinearAutoregression(INTERFACE, lags=4).double()
    one, other = rows_of(9), rows_of(9)
    mean = [(a + b) / 2 for a, b in zip(one, other, strict=True)]
    of_one, of_other, of_mean = (model.outputs(x, torch.arange(9), u) for x, u in (one, other, mean))
    torch.testing.assert_close(of_mean, (of_one + of_other) / 2)


def test_what_it_cannot_take_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lags is 0"):
        LinearAutoregression(INTERFACE, lags=0)
    categories = Interface(Channels([Channel("kind", categories=3)]), Gaussian([Channel("price")]))
    with pytest.raises(ValueError, match=r"takes numbers, but channel kind is of categories; leave it out"):
        LinearAutoregression(categories)
