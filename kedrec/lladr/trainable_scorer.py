"""Scorers as torch modules: with their learned scalars, and with tiles of scores of many queries and candidates."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from kedrec.graph.array_functions import Array
from kedrec.graph.scorer import Scorer
from kedrec.lladr.scorer_tiles import FAST_TILES

_BLOCK = 1 << 21  # numbers of a temporary of the plain path: it stays in the cache


class TorchFunctions:
    """torch's functions of `kedrec.graph.array_functions.ArrayFunctions`."""

    def split(self, array: Array, parts: int) -> Sequence[Array]:
        """Return equal parts of the last axis, as views."""
        return cast("Sequence[Array]", array.chunk(parts, dim=-1))

    def concat(self, arrays: Sequence[Array]) -> Array:
        """Join arrays along the last axis."""
        return torch.cat(list(arrays), dim=-1)

    def norm(self, array: Array, order: int) -> Array:
        """Return norms over the last axis."""
        return torch.linalg.vector_norm(array, ord=order, dim=-1)

    def inner(self, one: Array, other: Array) -> Array:
        """Return inner products over the last axis."""
        return (one * other).sum(-1)

    def moduli(self, real: Array, imaginary: Array) -> Array:
        """Return the moduli of complex numbers; their gradient is finite at 0."""
        return torch.linalg.vector_norm(torch.stack([real, imaginary]), dim=0)

    def abs(self, array: Array) -> Array:
        """Return absolute values."""
        return array.abs()

    def sin(self, array: Array) -> Array:
        """Return sines."""
        return array.sin()

    def cos(self, array: Array) -> Array:
        """Return cosines."""
        return array.cos()

    def at_most(self, array: Array, bound: float) -> Array:
        """Return the values, those above the bound replaced by it."""
        return array.clamp(max=bound)

    def maximum(self, one: Array, other: Array) -> Array:
        """Return the elementwise maximum."""
        return torch.maximum(one, other)


class TrainableScorer(nn.Module, Scorer):
    """A scorer's formula as a torch module; `trainable_scorer` makes one.

    Args:
        formula: the scorer; its own settings are taken over.
        dim: of the model, as its paper counts it: complex coordinates for ComplEx and RotatE.
        gamma: margin.
        compiled: use compiled tiles where the machine has a compiler.
    """

    xp = TorchFunctions()

    def __init__(self, formula: Scorer, dim: int, gamma: float, compiled: bool = True) -> None:
        super().__init__()
        vars(self).update(vars(formula))
        self.formula_class = type(formula)
        self.gamma = gamma
        self.range = (gamma + 2) / dim
        self.compiled = compiled
        self.entity_width, self.relation_width = (part * dim for part in formula.parts)
        for name, value in self.learned_scalars().items():
            self.register_parameter(name, nn.Parameter(torch.tensor([value])))

    def forward(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """Return the scores of whole triples, ``(...)``."""
        scores: Tensor = self.pairs(self.query(head, relation, "tail"), tail)
        return scores

    def tiles(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Return scores, ``(chunks, queries, candidates)``, of each query of a chunk against each candidate.

        Args:
            queries: ``(chunks, queries, query width)``.
            candidates: ``(chunks, candidates, entity width)``.
        """
        fast = FAST_TILES.get(self.formula_class)
        if fast is not None:
            return fast(self, queries, candidates)
        rows = max(1, _BLOCK // max(1, candidates.numel()))
        blocks = torch.split(queries, rows, dim=1)
        return torch.cat([self.pairs(block.unsqueeze(2), candidates.unsqueeze(1)) for block in blocks], dim=1)


def trainable_scorer(formula: Scorer, dim: int, gamma: float, compiled: bool = True) -> TrainableScorer:
    """Return a module with the methods of a scorer; arguments are those of `TrainableScorer`."""
    module = type(type(formula).__name__, (TrainableScorer, type(formula)), {})
    return cast("TrainableScorer", module(formula, dim, gamma, compiled))
