"""Tiles: each of a chunk's queries against each of its candidates, at the cost of one pass and no large temporary.

A tile of distances that torch has no fast kernel for is compiled by inductor where a C++ compiler (or a GPU) is there;
one reduction a compiled function keeps each of them vectorised. Elsewhere the same formulas run in blocks.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from kedrec.environment import can_compile, fused

Distance = Literal["l1", "rotation", "sine"]

_BLOCK = 1 << 21  # elements of a temporary of the plain path: it stays in the cache
_WORTH = 1 << 22  # differences of coordinates in a tile: below, starting inductor takes longer than it saves
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

    Args:
        kind: ``l1`` sums ``|q - e|``; ``rotation`` the moduli of complex ``q - e``, whose real parts are the first half
            of the coordinates; ``sine`` sums ``|sin((q - e) / 2)|``.
        queries: ``(chunks, queries, dim)``.
        candidates: ``(chunks, candidates, dim)``.
        compiled: use the compiled functions where they can be had and are worth it.
    """
    worth = queries.numel() * candidates.shape[1] >= _WORTH
    if not (compiled and worth and can_compile(queries.device.type)):
        return _apply(queries, candidates, kind, False)
    return _apply(_padded(queries), _padded(candidates), kind, True)


def _padded(rows: Tensor) -> Tensor:
    """Return equal rows, kept apart by 16 numbers where else all would begin in the same few sets of the cache."""
    if rows.shape[2] % 64 or not rows.is_cpu or not rows.requires_grad:
        return rows
    return torch.nn.functional.pad(rows, (0, 16))[..., : rows.shape[2]]


class _Tile(torch.autograd.Function):
    """A distance that is symmetric in its two sides: one formula gives the gradients of both."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, candidates: Tensor, kind: Distance, compiled: bool) -> Tensor:
        ctx.save_for_backward(queries, candidates)
        ctx.kind, ctx.compiled = kind, compiled
        # Shapes of training stay the same; those of evaluation change from one batch of queries to the next.
        how = None if not compiled else "fixed" if queries.requires_grad or candidates.requires_grad else "dynamic"
        return _function(_FORWARD[kind], how)(queries, candidates)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        queries, candidates = ctx.saved_tensors
        weights = grads[0]
        gradient = functools.partial(_gradient, ctx.kind, "fixed" if ctx.compiled else None)
        left = gradient(weights, queries, candidates) if ctx.needs_input_grad[0] else None
        right = gradient(weights.transpose(1, 2).contiguous(), candidates, queries) if ctx.needs_input_grad[1] else None
        return left, right, None, None


_apply: Callable[..., Tensor] = _Tile.apply


def _gradient(kind: Distance, how: str | None, weights: Tensor, queries: Tensor, candidates: Tensor) -> Tensor:
    """Return the gradient of ``queries``; ``weights`` are the gradients of the distances."""
    if kind != "rotation":
        formula = _l1_gradient if kind == "l1" else _sine_gradient
        return _function(formula, how)(weights, queries, candidates)
    half = queries.shape[2] // 2
    sides = (queries[..., :half], queries[..., half:], candidates[..., :half], candidates[..., half:])
    real = _function(_rotation_gradient, how)(weights, *sides)
    imaginary = _function(_rotation_gradient, how)(weights, sides[1], sides[0], sides[3], sides[2])
    return torch.cat([real, imaginary], dim=2)


def _l1(queries: Tensor, candidates: Tensor) -> Tensor:
    return (queries.unsqueeze(2) - candidates.unsqueeze(1)).abs().sum(3)


def _l1_gradient(weights: Tensor, queries: Tensor, candidates: Tensor) -> Tensor:
    weights, left, right = weights.unsqueeze(3), queries.unsqueeze(2), candidates.unsqueeze(1)
    # Two comparisons and choices are half the cost of a sign and a product.
    return torch.where(left > right, weights, torch.where(left < right, -weights, 0.0)).sum(2)


def _sine(queries: Tensor, candidates: Tensor) -> Tensor:
    return ((queries.unsqueeze(2) - candidates.unsqueeze(1)) / 2).sin().abs().sum(3)


def _sine_gradient(weights: Tensor, queries: Tensor, candidates: Tensor) -> Tensor:
    half = (queries.unsqueeze(2) - candidates.unsqueeze(1)) / 2
    return (weights.unsqueeze(3) / 2 * torch.sign(half.sin()) * half.cos()).sum(2)


def _rotation(queries: Tensor, candidates: Tensor) -> Tensor:
    half = queries.shape[2] // 2
    difference = queries.unsqueeze(2) - candidates.unsqueeze(1)
    return (difference[..., :half].square() + difference[..., half:].square()).sqrt().sum(3)


def _rotation_gradient(
    weights: Tensor, queries: Tensor, queries_other: Tensor, candidates: Tensor, candidates_other: Tensor
) -> Tensor:
    """Return the gradient of one part, real or imaginary, of the queries; ``..._other`` are the other parts."""
    mine = queries.unsqueeze(2) - candidates.unsqueeze(1)
    other = queries_other.unsqueeze(2) - candidates_other.unsqueeze(1)
    return (weights.unsqueeze(3) * mine * (mine.square() + other.square() + _TINY).rsqrt()).sum(2)


_FORWARD: dict[Distance, Callable[..., Tensor]] = {"l1": _l1, "rotation": _rotation, "sine": _sine}


def _function(formula: Callable[..., Tensor], how: str | None) -> Callable[..., Tensor]:
    """Return the formula, compiled for ``fixed`` or ``dynamic`` shapes, or run in blocks (``None``)."""
    return functools.partial(_in_blocks, formula) if how is None else fused(formula, dynamic=how == "dynamic")


def _in_blocks(formula: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Run a formula over blocks of queries: the first tensors, one more than those of the candidates if uneven."""
    of_queries = (len(tensors) + 1) // 2
    chunks, queries = tensors[0].shape[:2]
    rows = max(1, _BLOCK // (chunks * tensors[-1].shape[1] * tensors[-1].shape[2]))
    parts = [
        formula(*(tensor[:, start : start + rows] for tensor in tensors[:of_queries]), *tensors[of_queries:])
        for start in range(0, queries, rows)
    ]
    return torch.cat(parts, dim=1)
