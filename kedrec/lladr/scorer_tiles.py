"""Fast tiles of the scorers that kedrec has; the scorers' formulas, broadcast, give the same scores in more time."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from kedrec.graph.scorer import Scorer
from kedrec.graph.scorers import HAKE, ComplEx, DistMult, PRotatE, RotatE, TransE, TransEL2
from kedrec.lladr import scoring_tiles as tiles

Tile = Callable[[Any, Tensor, Tensor], Tensor]
"""From a trainable scorer and ``(chunks, n, width)`` queries and candidates to scores of all with all."""


def _transe(scorer: Any, queries: Tensor, candidates: Tensor) -> Tensor:
    scores: Tensor = scorer.gamma - tiles.distance("l1", queries, candidates, scorer.compiled)
    return scores


def _transe_l2(scorer: Any, queries: Tensor, candidates: Tensor) -> Tensor:
    scores: Tensor = scorer.gamma - tiles.euclidean(queries, candidates)
    return scores


def _products(_: Any, queries: Tensor, candidates: Tensor) -> Tensor:
    return tiles.dot(queries, candidates)


def _rotate(scorer: Any, queries: Tensor, candidates: Tensor) -> Tensor:
    scores: Tensor = scorer.gamma - tiles.distance("rotation", queries, candidates, scorer.compiled)
    return scores


def _protate(scorer: Any, queries: Tensor, candidates: Tensor) -> Tensor:
    phases = scorer.phase(candidates)
    scores: Tensor = scorer.gamma - scorer.modulus * tiles.distance("sine", queries, phases, scorer.compiled)
    return scores


def _hake(scorer: Any, queries: Tensor, candidates: Tensor) -> Tensor:
    """The modulus part, multiplied out, is two matrix products."""
    phase, modulus = candidates.chunk(2, dim=-1)
    angle, target, factor = queries.chunk(3, dim=-1)
    crossed = tiles.dot(
        torch.cat([factor.square(), -2 * target * factor], -1), torch.cat([modulus.square(), modulus], -1)
    )
    stretched = (target.square().sum(-1).unsqueeze(2) + crossed).clamp(min=1e-12).sqrt()
    turned = tiles.distance("sine", angle.contiguous(), scorer.phase(phase), scorer.compiled)
    scores: Tensor = scorer.gamma - scorer.modulus_weight * stretched - scorer.phase_weight * turned
    return scores


FAST_TILES: Mapping[type[Scorer], Tile] = {
    TransE: _transe,
    TransEL2: _transe_l2,
    DistMult: _products,
    ComplEx: _products,
    RotatE: _rotate,
    PRotatE: _protate,
    HAKE: _hake,
}
