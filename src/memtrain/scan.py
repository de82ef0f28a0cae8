"""Linear recurrences `h_t = A_t h_{t-1} + b_t`: one loop (the oracle) and two ways of small sequential depth."""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

Backend = Literal["loop", "chunked", "blelloch"]


def linear_recurrence(
    coefficients: Tensor, inputs: Tensor, initial: Tensor | None = None, backend: Backend = "chunked"
) -> Tensor:
    """All states of `h_t = A_t h_{t-1} + b_t`, differentiable in `A`, `b` and `h_{-1}`.

    The gradient is the same recurrence, reversed and transposed, so it has the backend's sequential depth too; it can
    be differentiated again.

    Args:
        coefficients: `A_t`: of the shape of `inputs` where it is diagonal; with one more dimension,
            `[B, T, ..., n, n]`, where it is a matrix (dense: `[B, T, Z, Z]`; block-diagonal: `[B, T, G, n, n]`).
        inputs: `b_t`, `[B, T, ..., n]`, T at least 1.
        initial: `h_{-1}`, `[B, ..., n]`; None: zeros.
        backend: loop: T steps, least work; chunked: about `2 sqrt(T)` steps, chunks in parallel, best on a CPU for
            diagonal coefficients; blelloch: about `2 log2(T)` steps (Blelloch, "Prefix sums and their applications").

    Returns:
        `h_t`, `[B, T, ..., n]`.

    Raises:
        ValueError: where the shapes do not belong together.
    """
    matrices = coefficients.dim() == inputs.dim() + 1
    if coefficients.shape != (*inputs.shape, *inputs.shape[-1:] * matrices):
        raise ValueError(
            f"coefficients have shape {tuple(coefficients.shape)}, but inputs of shape {tuple(inputs.shape)} need the "
            "same shape (diagonal), or that shape with its last size repeated (matrices)."
        )
    if initial is None:
        initial = torch.zeros_like(inputs[:, 0])
    return _LinearRecurrence.apply(coefficients, inputs, initial, backend)


def scan_flops(numbers: int, block: int, length: int, backend: Backend) -> int:
    """Sequential FLOPs of a linear recurrence, per sample: its longest chain of operations (see `memtrain.metrics`).

    Args:
        numbers: of a state.
        block: rows n of a block of the coefficients: 1 where they are diagonal, `numbers` where they are dense.
        length: T.
        backend: see `linear_recurrence`.
    """
    step, join = 2 * numbers * block, numbers if block == 1 else 2 * numbers * block**2
    if backend == "loop":
        return length * step
    if backend == "chunked":
        size = math.isqrt(length - 1) + 1
        return (size - 1) * max(step, join) + (-(-length // size) + 1) * step
    return (length - 1).bit_length() * (max(step, join) + step)  # down: joining neighbors; up: filling in


def scan_levels(length: int) -> int:
    """Dependent operations of a linear recurrence over T = `length` steps: `log2(T)` levels, rounded up, at least one.

    This is what a scan needs at best, whichever backend is fastest here.
    """
    return max(1, (length - 1).bit_length())


def multiply(coefficients: Tensor, states: Tensor) -> Tensor:
    """`A h`, for diagonal coefficients (as many dimensions as states) or matrices (one more)."""
    if coefficients.dim() == states.dim():
        return coefficients * states
    return (coefficients @ states.unsqueeze(-1)).squeeze(-1)


def preceding(initial: Tensor, states: Tensor) -> Tensor:
    """`h_{t-1}` at index t: the initial state `[B, ...]` and all states `[B, T, ...]` but the last."""
    return torch.cat([initial.unsqueeze(1), states[:, :-1]], dim=1)


class _LinearRecurrence(torch.autograd.Function):
    """Forward by any backend; backward by the adjoint recurrence `g_t = A_{t+1}^T g_{t+1} + dL/dh_t`."""

    @staticmethod
    def forward(coefficients: Tensor, inputs: Tensor, initial: Tensor, backend: Backend) -> Tensor:
        first = inputs[:, :1] + multiply(coefficients[:, :1], initial.unsqueeze(1))
        return _BACKENDS[backend](coefficients, torch.cat([first, inputs[:, 1:]], dim=1))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Backend], output: Tensor) -> None:
        coefficients, _, initial, ctx.backend = inputs
        ctx.save_for_backward(coefficients, initial, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        coefficients, initial, states = ctx.saved_tensors
        (gradient,) = gradients
        diagonal = coefficients.dim() == states.dim()
        transposed = coefficients if diagonal else coefficients.mT
        following = torch.cat([transposed[:, 1:], torch.zeros_like(transposed[:, :1])], dim=1)
        adjoint = linear_recurrence(following.flip(1), gradient.flip(1), None, ctx.backend).flip(1)
        of_coefficients = None
        if ctx.needs_input_grad[0]:
            before = preceding(initial, states)
            of_coefficients = adjoint * before if diagonal else adjoint.unsqueeze(-1) * before.unsqueeze(-2)
        return of_coefficients, adjoint, multiply(transposed[:, 0], adjoint[:, 0]), None


# The backends start from h_{-1} = 0; `forward` has put A_0 h_{-1} into b_0.


def _loop(coefficients: Tensor, inputs: Tensor) -> Tensor:
    state, states = torch.zeros_like(inputs[:, 0]), []
    # unbind, not indexing: where these are differentiated, the backward of indexing costs O(T^2).
    for coefficient, addend in zip(coefficients.unbind(1), inputs.unbind(1), strict=True):
        state = multiply(coefficient, state) + addend
        states.append(state)
    return torch.stack(states, dim=1)


def _chunked(coefficients: Tensor, inputs: Tensor) -> Tensor:
    """Chunks of about sqrt(T) steps: all of them at once from zero, then from chunk to chunk what each passes on."""
    length = inputs.shape[1]
    size = math.isqrt(length - 1) + 1
    a, b = (_cut(x, size) for x in (coefficients, inputs))  # [B, chunks, size, ...]
    state, product = b[:, :, 0], a[:, :, 0]
    states, products = [state], [product]
    for coefficient, addend in zip(a.unbind(2)[1:], b.unbind(2)[1:], strict=True):
        state = multiply(coefficient, state) + addend
        product = _compose(coefficient, product, coefficients.dim() > inputs.dim())
        states.append(state)
        products.append(product)
    local, passed = torch.stack(states, dim=2), torch.stack(products, dim=2)
    entering = torch.zeros_like(state)
    entering[:, 1:] = _loop(product, state)[:, :-1]  # a chunk starts where the one before it ends
    return (local + multiply(passed, entering.unsqueeze(2))).flatten(1, 2)[:, :length]


def _blelloch(coefficients: Tensor, inputs: Tensor) -> Tensor:
    """Join neighbors, solve for every second state, and fill in the states between: a recursion of depth log2(T)."""
    length = inputs.shape[1]
    if length == 1:
        return inputs
    a_even, b_even, a_odd, b_odd = coefficients[:, ::2], inputs[:, ::2], coefficients[:, 1::2], inputs[:, 1::2]
    pairs = b_odd.shape[1]
    joined = _compose(a_odd, a_even[:, :pairs], coefficients.dim() > inputs.dim())
    odd = _blelloch(joined, multiply(a_odd, b_even[:, :pairs]) + b_odd)
    states = torch.empty_like(inputs)
    states[:, 1::2] = odd
    states[:, 0] = inputs[:, 0]
    between = (length - 1) // 2  # even states that follow an odd one
    states[:, 2::2] = b_even[:, 1:] + multiply(a_even[:, 1:], odd[:, :between])
    return states


def _cut(x: Tensor, size: int) -> Tensor:
    """`[B, T, ...]` in chunks, `[B, chunks, size, ...]`, the last one filled up with zeros."""
    missing = -x.shape[1] % size
    if missing:
        x = torch.cat([x, x.new_zeros(len(x), missing, *x.shape[2:])], dim=1)
    return x.unflatten(1, (-1, size))


def _compose(later: Tensor, earlier: Tensor, matrices: bool) -> Tensor:
    """One step that does what `earlier` and then `later` do."""
    return later @ earlier if matrices else later * earlier


_BACKENDS: dict[Backend, Callable[[Tensor, Tensor], Tensor]] = {
    "loop": _loop,
    "chunked": _chunked,
    "blelloch": _blelloch,
}
