"""All cells, by one table: memory space, fused rollout, gradients; gated cells by textbook equations."""

import warnings

import pytest
import torch
from torch import Tensor

from memtrain.networks import NetworkOptions
from memtrain.networks.cells import Cell, GRUCell, LSTMCell, MLPCell, TransformerCell
from memtrain.networks.cells.base import refuse_taken_names
from memtrain.networks.compiled import Compiled


def test_a_step_stays_in_the_shape_and_space_of_memories(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    after = cell.step(start, embeddings[:, 0])
    assert after.shape == start.shape
    if isinstance(cell, LSTMCell):
        after = after.flatten(1).chunk(2, dim=1)[1]  # its c may leave (-1, 1), its h may not
    if cell.memory_normalization == "rms" and not isinstance(cell, (GRUCell, LSTMCell)):
        torch.testing.assert_close(after.square().mean(-1), torch.ones(2, 3, dtype=torch.float64))
    elif cell.memory_normalization == "tanh" or isinstance(cell, LSTMCell):
        assert (after.abs() < 1).all()
    else:  # a GRU's state lies between its last one and tanh's values
        assert (after.abs() <= start.abs().clamp(min=1)).all()


def test_the_rollout_equals_stepping_with_all_gradients(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    start.requires_grad_()
    embeddings.requires_grad_()
    memory, stepped = start, []
    for t in range(embeddings.shape[1]):
        memory = cell.step(memory, embeddings[:, t])
        stepped.append(memory)
    expected = torch.stack(stepped, dim=1)
    rolled = cell.rollout(start, embeddings)
    torch.testing.assert_close(rolled, expected, rtol=1e-12, atol=1e-12)
    direction = torch.randn_like(expected)
    variables = [start, embeddings, *cell.parameters()]
    gradients = [torch.autograd.grad((y * direction).sum(), variables, retain_graph=True) for y in (rolled, expected)]
    for of_rolled, of_expected in zip(*gradients, strict=True):
        torch.testing.assert_close(of_rolled, of_expected, rtol=1e-10, atol=1e-10)


def test_update_of_a_projected_input_is_the_same_step_in_every_form(
    cell: Cell, start: Tensor, embeddings: Tensor
) -> None:
    expected, projected = cell.step(start, embeddings[:, 0]), cell.project(embeddings[:, 0])
    for after in (
        cell.update(start, projected),
        cell.prepared()(start, projected),
        cell.elementary_update(start, projected),
        cell.linearize(start, projected)[0],
        cell.unroll(start, projected.unsqueeze(1))[:, 0],
    ):
        torch.testing.assert_close(after, expected, rtol=1e-12, atol=1e-12)


def test_the_jacobian_has_the_structure_that_the_cell_names(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    _, jacobian = cell.linearize(start, cell.project(embeddings[:, 0]))
    shapes = {"diagonal": (2, 3, 8), "blocks": (2, 12, 2, 2), "dense": (2, 1, 24, 24)}
    assert jacobian.shape == shapes[cell.structure]
    assert not jacobian.requires_grad


def test_an_update_that_is_taken_for_jacobians_calls_no_recurrent_kernel(
    cell: Cell, start: Tensor, embeddings: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have forward-mode derivatives on the CPU alone."""
    for kernel in (torch.nn.GRU, torch.nn.LSTMCell):
        monkeypatch.setattr(kernel, "forward", lambda *_: pytest.fail("a fused kernel"))
    cell.elementary_update(start, cell.project(embeddings[:, 0]))


def test_gradients_reach_memory_input_and_every_parameter(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    start.requires_grad_()
    after = cell.step(start, embeddings[:, 0].requires_grad_())
    variables = {"memory": start, **dict(cell.named_parameters())}
    gradients = torch.autograd.grad((after * torch.randn_like(after)).sum(), list(variables.values()))
    for name, gradient in zip(variables, gradients, strict=True):
        assert gradient.norm() > 0, name


def test_samples_do_not_mix(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    together = cell.step(start, embeddings[:, 0])
    alone = cell.step(start[1:], embeddings[1:, 0])
    torch.testing.assert_close(together[1:], alone, rtol=1e-12, atol=1e-12)


def test_the_gru_cell_equals_the_textbook_equations() -> None:
    cell = GRUCell(4, 2, "tanh").double()
    h, x = torch.randn(3, 2, 4, dtype=torch.float64).tanh(), torch.randn(3, 4, dtype=torch.float64)
    flat = h.flatten(1)
    of_x = x @ cell.gru.weight_ih_l0.T + cell.gru.bias_ih_l0
    of_h = flat @ cell.gru.weight_hh_l0.T + cell.gru.bias_hh_l0
    (rx, zx, nx), (rh, zh, nh) = of_x.chunk(3, 1), of_h.chunk(3, 1)
    reset, update = torch.sigmoid(rx + rh), torch.sigmoid(zx + zh)
    candidate = torch.tanh(nx + reset * nh)
    expected = (1 - update) * candidate + update * flat
    torch.testing.assert_close(cell.step(h, x), expected.view(3, 2, 4), rtol=1e-12, atol=1e-12)


def test_the_lstm_cell_keeps_c_and_h_in_the_memory_and_equals_the_textbook_equations() -> None:
    cell = LSTMCell(4, 2, "tanh").double()
    memory, x = torch.randn(3, 2, 4, dtype=torch.float64).tanh(), torch.randn(3, 4, dtype=torch.float64)
    c, h = memory.flatten(1).split(4, dim=1)
    gates = x @ cell.lstm.weight_ih.T + cell.lstm.bias_ih + h @ cell.lstm.weight_hh.T + cell.lstm.bias_hh
    i, f, g, o = gates.chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * g.tanh()
    h = torch.sigmoid(o) * c.tanh()
    torch.testing.assert_close(cell.step(memory, x).flatten(1), torch.cat([c, h], 1), rtol=1e-12, atol=1e-12)


def test_the_forget_bias_is_added_to_the_forget_gate_only() -> None:
    torch.manual_seed(1)
    plain = LSTMCell(4, 2, "tanh", forget_bias=0.0).lstm.bias_ih
    torch.manual_seed(1)
    raised = LSTMCell(4, 2, "tanh", forget_bias=2.5).lstm.bias_ih
    torch.testing.assert_close(raised - plain, torch.tensor([0.0] * 4 + [2.5] * 4 + [0.0] * 8))


def test_the_update_bias_is_added_to_the_update_gate_only_and_makes_a_new_cell_remember() -> None:
    torch.manual_seed(1)
    plain = GRUCell(4, 2, "tanh")
    torch.manual_seed(1)
    raised = GRUCell(4, 2, "tanh", update_bias=2.5)
    torch.testing.assert_close(
        raised.gru.bias_ih_l0 - plain.gru.bias_ih_l0, torch.tensor([0.0] * 8 + [2.5] * 8 + [0.0] * 8)
    )
    memory, x = torch.randn(3, 2, 4).tanh(), torch.randn(3, 4)
    assert (raised.step(memory, x) - memory).norm() < (plain.step(memory, x) - memory).norm() / 3


def test_orthogonal_recurrent_weights_keep_the_length_of_a_state() -> None:
    torch.manual_seed(1)
    plain = GRUCell(4, 2, "tanh").gru
    torch.manual_seed(1)
    gru = GRUCell(4, 2, "tanh", orthogonal=True).gru
    for gate in gru.weight_hh_l0.chunk(3):
        torch.testing.assert_close(gate @ gate.T, torch.eye(8))
    torch.testing.assert_close(gru.weight_ih_l0, plain.weight_ih_l0)


@pytest.mark.parametrize("kind", [GRUCell, LSTMCell])
def test_a_gated_cell_with_rms_memories_is_refused_in_one_sentence(kind: type[Cell]) -> None:
    with pytest.raises(ValueError, match=r"memory_normalization is rms, but the gated .* set it to tanh") as e:
        kind(8, 2, "rms")
    assert "\n" not in str(e.value)


def test_an_lstm_of_odd_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"memory_tokens is 15, but an LSTMCell needs an even"):
        LSTMCell(5, 3, "tanh")


def test_an_mlp_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="layers is 0, but an MLPCell needs at least 1"):
        MLPCell(8, 2, "rms", layers=0)


def test_a_user_cell_must_define_step() -> None:
    class Stepless(Cell):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Stepless(8, 2, "rms")


def test_the_transformer_cell_equals_a_bidirectional_stack_over_memory_and_input() -> None:
    """The authors' cell: outputs at the memory positions of one over [memory; x], positions 0..K."""
    cell = TransformerCell(8, 2, "tanh", heads=2, head_dimension=4).double()
    memory, x = torch.randn(3, 2, 8, dtype=torch.float64), torch.randn(3, 8, dtype=torch.float64)
    outputs = cell.transformer(torch.cat([memory, x.unsqueeze(1)], dim=1), torch.arange(3))
    torch.testing.assert_close(cell.step(memory, x), outputs[:, :2].tanh(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["project", "update", "memory", "step"])
def test_a_layer_with_a_name_that_cell_uses_is_refused(name: str) -> None:
    """Python would call the method in its place, or the other way round."""
    cell = MLPCell(8, 2, "rms")
    setattr(cell, name, torch.nn.Linear(8, 8))
    with pytest.raises(ValueError, match=rf"MLPCell\.{name} is a layer, .* a name that Cell uses; rename it"):
        refuse_taken_names(cell)


# A Transformer cell through torch.compile


def compiled_cell() -> TransformerCell:
    return TransformerCell(8, 2, "rms", layers=1, heads=2, head_dimension=4, compile=True)


def test_without_a_compiler_a_cell_warns_once_and_runs_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Tensor:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr("memtrain.networks.compiled._compile", lambda _: fail)
    cell, other = compiled_cell(), compiled_cell()
    start, embeddings = torch.randn(3, 2, 8), torch.randn(3, 4, 8)
    with pytest.warns(UserWarning, match=r"compile is true, but torch.compile failed \(no C\+\+ compiler\)"):
        states = cell.rollout(start, embeddings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cell.rollout(start, embeddings)
    torch.testing.assert_close(states[:, 0], cell.step(start, embeddings[:, 0]))
    with pytest.warns(UserWarning, match="torch.compile failed"):  # one cell's failure is not another's
        other.rollout(start, embeddings)


def test_an_error_of_the_compiled_function_itself_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("of its own")

    monkeypatch.setattr("memtrain.networks.compiled._compile", lambda function: function)
    with pytest.warns(UserWarning, match="torch.compile failed"), pytest.raises(RuntimeError, match="of its own"):
        Compiled(broken)(1)


def test_rollouts_without_gradient_and_single_steps_are_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memtrain.networks.compiled._compile", lambda _: pytest.fail("compiled"))
    cell = compiled_cell()
    cell.step(torch.randn(3, 2, 8), torch.randn(3, 8))
    with torch.no_grad():
        cell.rollout(torch.randn(3, 2, 8), torch.randn(3, 4, 8))


def test_compile_changes_no_name_of_a_weight() -> None:
    plain = TransformerCell(8, 2, "rms", layers=1, heads=2, head_dimension=4)
    assert compiled_cell().state_dict().keys() == plain.state_dict().keys()


@pytest.mark.slow
def test_the_compiled_rollout_equals_the_rollout_with_all_gradients() -> None:
    cell, plain = compiled_cell().double(), TransformerCell(8, 2, "rms", layers=1, heads=2, head_dimension=4).double()
    plain.load_state_dict(cell.state_dict())
    start = torch.randn(3, 2, 8, dtype=torch.float64, requires_grad=True)
    embeddings = torch.randn(3, 4, 8, dtype=torch.float64)
    for _ in range(2):  # another rollout: the weights are prepared anew
        found, expected = cell.rollout(start, embeddings), plain.rollout(start, embeddings)
        assert cell.compiled.works
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
        direction = torch.randn_like(expected)
        of_found = torch.autograd.grad((found * direction).sum(), [start, *cell.parameters()])
        of_expected = torch.autograd.grad((expected * direction).sum(), [start, *plain.parameters()])
        for a, b in zip(of_found, of_expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_a_lambda_as_cell_cannot_be_recorded() -> None:
    with pytest.raises(ValueError, match=r"must be a subclass of memtrain\.networks\.cells\.Cell"):
        NetworkOptions(cell=lambda width, tokens, kind: TransformerCell(width, tokens, kind))
