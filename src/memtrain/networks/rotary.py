"""Rotary position embedding: pairs of features that turn with a token's timestamp."""

import torch
from torch import Tensor, nn


class Rotary(nn.Module):
    """Rotary position embedding on the first `rotated` of `head_dimension` features, as interleaved pairs.

    Args:
        head_dimension: features of one attention head; even.
        rotated: how many of them are rotated; even, at most `head_dimension`.
        base: the longest wavelength is about `2 * pi * base` positions.
    """

    frequencies: Tensor

    def __init__(self, head_dimension: int, rotated: int, base: float = 10_000.0) -> None:
        super().__init__()
        if head_dimension % 2:
            raise ValueError(f"head_dimension is {head_dimension}, but must be even; choose {head_dimension + 1}.")
        if rotated % 2 or not 0 <= rotated <= head_dimension:
            raise ValueError(
                f"rotary_dimensions is {rotated}, but must be even and at most head_dimension ({head_dimension}); "
                f"choose for example {head_dimension}."
            )
        frequencies = torch.zeros(head_dimension // 2)
        frequencies[: rotated // 2] = base ** (-torch.arange(0, rotated, 2) / rotated)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        """The rotations at `positions`, as complex numbers of absolute value 1.

        Args:
            positions: int64 `[..., S]`, the timestamps of the tokens.

        Returns:
            Complex `[..., S, 1, head_dimension / 2]`, one for each pair of features; 1 where features are not rotated.
        """
        angles = positions[..., None, None] * self.frequencies
        return torch.polar(torch.ones_like(angles), angles)


class RealRotary(nn.Module):
    """`Rotary` without complex numbers, which export formats lack; `rotate` takes the rotations of both.

    Args:
        rotary: has the same frequencies.
    """

    frequencies: Tensor

    def __init__(self, rotary: Rotary) -> None:
        super().__init__()
        self.register_buffer("frequencies", rotary.frequencies, persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        """The rotations at `positions`, as cosines and sines.

        Args:
            positions: int64 `[..., S]`, the timestamps of the tokens.

        Returns:
            `[..., S, 1, head_dimension]`: the cosines of all pairs of features, then their sines.
        """
        angles = positions[..., None, None] * self.frequencies
        return torch.cat([angles.cos(), angles.sin()], dim=-1)


def rotate(heads: Tensor, rotary: Tensor) -> Tensor:
    """Rotate each pair of features.

    Args:
        heads: `[..., S, H, d]`.
        rotary: complex `[..., S, 1, d / 2]` of `Rotary`, or real `[..., S, 1, d]` of `RealRotary`.

    Returns:
        `[..., S, H, d]`.
    """
    exact = heads.float() if heads.dtype in (torch.float16, torch.bfloat16) else heads
    if rotary.is_complex():
        # A complex product is one fused operation forward and one backward; the usual swap of pairs takes five.
        pairs = torch.view_as_complex(exact.view(*heads.shape[:-1], -1, 2))
        rotated = torch.view_as_real(pairs * rotary).flatten(-2)
    else:
        (even, odd), (cos, sin) = exact.unflatten(-1, (-1, 2)).unbind(-1), rotary.chunk(2, dim=-1)
        rotated = torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2)
    return rotated if exact is heads else rotated.to(heads.dtype)
