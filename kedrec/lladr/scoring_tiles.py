"""Tiles: each query of a chunk against each of its candidates, in one pass and without a large temporary.

Distances without a fast kernel in torch are C++ on a CPU (tiles.cpp), and compiled by inductor on a GPU. Without a
compiler, the formulas below run in blocks.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from kedrec.lladr import native_kernels as native
from kedrec.runtime.environment import can_compile, fused

Distance = Literal["l1", "rotation", "sine"]

_BLOCK = 1 << 21  # elements of a temporary of the plain path: it stays in the cache
_WORTH = 1 << 20  # differences of coordinates in a tile: below, compiling takes longer than it saves
_TINY = 1e-30  # under a square root, where a difference may be zero


def dot(queries: Tensor, candidates: Tensor) -> Tensor:
    """Return inner products, ``(chunks, queries, candidates)``, of ``(chunks, n, dim)`` tensors."""
    return torch.bmm(queries, candidates.transpose(1, 2))


def euclidean(queries: Tensor, candidates: Tensor) -> Tensor:
    """Return Euclidean distances, ``(chunks, queries, candidates)``, by one matrix product a chunk."""
    squares = queries.square().sum(2).unsqueeze(2) + candidates.square().sum(2).unsqueeze(1)
    return torch.baddbmm(squares, queries, candidates.transpose(1, 2), alpha=-2).clamp(min=1e-12).sqrt()


def distance(kind: Distance, queries: Tensor, candidates: Tensor, compiled: bool = True) -> Tensor:
    """Return summed distances of coordinates, ``(chunks, queries, candidates)``.

    Where a modulus has no gradient, both sides have the same subgradient.

    Args:
        kind: ``l1`` sums ``|q - e|``; ``rotation`` the moduli of complex ``q - e``, whose real parts are the first half
            of the coordinates; ``sine`` sums ``|sin((q - e) / 2)|``.
        queries: ``(chunks, queries, dim)``.
        candidates: ``(chunks, candidates, dim)``.
        compiled: use the compiled functions where the machine has a compiler and the tile is large enough.
    """
    compiled = compiled and queries.numel() * candidates.shape[1] >= _WORTH
    if compiled and queries.is_cpu and queries.dtype == torch.float32 and native.usable():
        return _apply_native(queries, candidates, kind)
    return _apply_plain(queries, candidates, kind, compiled and queries.is_cuda and can_compile("cuda"))


class _NativeTile(torch.autograd.Function):
    """A distance in C++."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, candidates: Tensor, kind: Distance) -> Tensor:
        ctx.kind, ctx.width = kind, queries.shape[2]
        queries, candidates = _laid_out(kind, queries), _laid_out(kind, candidates)
        ctx.save_for_backward(queries, candidates)
        return native.tile(kind, queries, candidates)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        left, right = native.tile_gradients(ctx.kind, grads[0].contiguous(), *ctx.saved_tensors)
        return _taken_back(ctx.kind, left, ctx.width), _taken_back(ctx.kind, right, ctx.width), None


def _laid_out(kind: Distance, rows: Tensor) -> Tensor:
    """Return rows as tiles.cpp takes them: their parts padded to whole vectors; angles as half's sines and cosines."""
    if kind == "sine":
        # sin(a - b) is made of the sines and cosines of a and b, of which there are as few as rows.
        half = functional.pad(rows / 2, (0, -rows.shape[2] % native.LANES))
        return torch.cat([half.sin(), half.cos()], dim=2)
    parts = native.PARTS[kind]
    missing = -(rows.shape[2] // parts) % native.LANES
    if not missing:
        return rows.contiguous()
    return functional.pad(rows.reshape(*rows.shape[:2], parts, -1), (0, missing)).flatten(2)


def _taken_back(kind: Distance, grad: Tensor, width: int) -> Tensor:
    """Return the gradient, ``(chunks, n, width)``, of rows that `_laid_out` has padded."""
    if kind == "sine":
        return grad[..., :width] / 2
    parts = native.PARTS[kind]
    if grad.shape[2] == width:
        return grad
    return grad.view(*grad.shape[:2], parts, -1)[..., : width // parts].flatten(2)


class _PlainTile(torch.autograd.Function):
    """A distance by the formulas below, whose derivatives by query and candidate are each other's negative."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, candidates: Tensor, kind: Distance, compiled: bool) -> Tensor:
        ctx.save_for_backward(queries, candidates)
        ctx.kind, ctx.compiled = kind, compiled
        if compiled:
            # Shapes of training stay the same; those of evaluation change from one batch of queries to the next.
            tile: Tensor = fused(_tile, dynamic=not any(ctx.needs_input_grad))(kind, queries, candidates)
            return tile
        return torch.cat([_tile(kind, rows, candidates) for rows in _blocks(queries, candidates)], dim=1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        queries, candidates = ctx.saved_tensors
        if ctx.compiled:
            sides = (ctx.kind, grads[0], queries, candidates)
            left, right = fused(_of_queries, dynamic=False)(*sides), fused(_of_candidates, dynamic=False)(*sides)
            return left, right, None, None
        lefts, right, start = [], torch.zeros_like(candidates), 0
        for rows in _blocks(queries, candidates):
            derivative = _DERIVATIVES[ctx.kind](rows.unsqueeze(2) - candidates.unsqueeze(1))
            derivative *= grads[0][:, start : start + rows.shape[1]].unsqueeze(3)
            lefts.append(derivative.sum(2))
            right -= derivative.sum(1)
            start += rows.shape[1]
        return torch.cat(lefts, dim=1), right, None, None


_apply_native: Callable[..., Tensor] = _NativeTile.apply
_apply_plain: Callable[..., Tensor] = _PlainTile.apply


def _blocks(queries: Tensor, candidates: Tensor) -> tuple[Tensor, ...]:
    """Return the queries in blocks whose differences from all candidates are not many."""
    return torch.split(queries, max(1, _BLOCK // max(1, candidates.numel())), dim=1)


def _tile(kind: Distance, queries: Tensor, candidates: Tensor) -> Tensor:
    return _VALUES[kind](queries.unsqueeze(2) - candidates.unsqueeze(1)).sum(3)


def _of_queries(kind: Distance, weights: Tensor, queries: Tensor, candidates: Tensor) -> Tensor:
    return (weights.unsqueeze(3) * _DERIVATIVES[kind](queries.unsqueeze(2) - candidates.unsqueeze(1))).sum(2)


def _of_candidates(kind: Distance, weights: Tensor, queries: Tensor, candidates: Tensor) -> Tensor:
    return -(weights.unsqueeze(3) * _DERIVATIVES[kind](queries.unsqueeze(2) - candidates.unsqueeze(1))).sum(1)


def _sign(value: Tensor) -> Tensor:
    """Return 1 for 0 and above, -1 below."""
    return torch.where(value >= 0, 1.0, -1.0).to(value.dtype)


def _moduli(difference: Tensor) -> Tensor:
    """Return the moduli of complex numbers, ``(..., dim / 2)``."""
    real, imaginary = difference.chunk(2, dim=-1)
    return (real.square() + imaginary.square()).sqrt()


def _directions(difference: Tensor) -> Tensor:
    """Return complex numbers divided by their moduli; 0 for 0."""
    real, imaginary = difference.chunk(2, dim=-1)
    inverse = (real.square() + imaginary.square() + _TINY).rsqrt()
    return torch.cat([real * inverse, imaginary * inverse], dim=-1)


def _sine_derivative(difference: Tensor) -> Tensor:
    half = difference / 2
    return _sign(half.sin()) * half.cos() / 2


_VALUES: dict[Distance, Callable[[Tensor], Tensor]] = {
    "l1": torch.abs,
    "rotation": _moduli,
    "sine": lambda difference: (difference / 2).sin().abs(),
}
_DERIVATIVES: dict[Distance, Callable[[Tensor], Tensor]] = {
    "l1": _sign,
    "rotation": _directions,
    "sine": _sine_derivative,
}
