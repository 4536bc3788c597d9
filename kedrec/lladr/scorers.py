"""Scorers of triples: how well head, relation and tail fit, higher is better.

Each scorer turns the known side and the relation of a triple into a query, and compares queries with the entities that
may stand on the missing side: one against one (``pairs``), or all of a chunk against all (``tiles``). Both sides of a
triple give it the same score. Distances are taken from a margin gamma, so that sigmoid(score) is a likelihood.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from kedrec.graph.vocabulary import Side
from kedrec.lladr import scoring_tiles as tiles

ScorerName = Literal["transe_l1", "transe_l2", "distmult", "complex", "rotate", "protate", "hake"]


class Scorer(nn.Module):
    """What all scorers share.

    Args:
        dim: of the model, as its paper counts: complex coordinates for ComplEx and RotatE.
        gamma: margin; also sets, as in RotatE's code, the range (gamma + 2) / dim of first values and of phases.
        compiled: use compiled tiles where they can be had.
    """

    parts = (1, 1)  # widths of entity and relation rows, in dims

    def __init__(self, dim: int, gamma: float, compiled: bool = True) -> None:
        super().__init__()
        self.gamma = gamma
        self.compiled = compiled
        self.range = (gamma + 2) / dim
        self.entity_width, self.relation_width = (part * dim for part in self.parts)

    def query(self, entity: Tensor, relation: Tensor, missing: Side) -> Tensor:
        """Return queries, ``(..., query width)``, for the missing side of ``(..., entity width)`` known entities."""
        raise NotImplementedError

    def pairs(self, query: Tensor, entity: Tensor) -> Tensor:
        """Return the scores of queries against one entity each: ``(...)``."""
        raise NotImplementedError

    def tiles(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Return ``(chunks, queries, candidates)`` scores of ``(chunks, n, width)`` queries and candidates."""
        raise NotImplementedError

    def forward(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """Return the scores of whole triples, ``(...)``."""
        return self.pairs(self.query(head, relation, "tail"), tail)

    def first_relations(self, relations: Tensor, generator: torch.Generator) -> None:
        """Give ``(relations, relation width)`` their first values in place."""
        relations.uniform_(-self.range, self.range, generator=generator)

    def _phase(self, row: Tensor) -> Tensor:
        """Map the range of first values to angles between -pi and pi."""
        return row * (math.pi / self.range)


class TransE(Scorer):
    """gamma - ||h + r - t|| (Bordes et al., NeurIPS 2013), in L1 or, as ``TransEL2``, in L2."""

    norm = 1

    def query(self, entity: Tensor, relation: Tensor, missing: Side) -> Tensor:
        """Return where the missing entity should lie."""
        return entity + relation if missing == "tail" else entity - relation

    def pairs(self, query: Tensor, entity: Tensor) -> Tensor:
        """Return gamma less the distance."""
        length: Tensor = torch.linalg.vector_norm(query - entity, ord=self.norm, dim=-1)
        return self.gamma - length

    def tiles(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Return gamma less the distances."""
        return self.gamma - tiles.distance("l1", queries, candidates, self.compiled)


class TransEL2(TransE):
    """TransE with Euclidean distances: a tile costs one matrix product."""

    norm = 2

    def tiles(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Return gamma less the distances."""
        return self.gamma - tiles.euclidean(queries, candidates)


class DistMult(Scorer):
    """sum(h * r * t) (Yang et al., ICLR 2015); no margin."""

    def query(self, entity: Tensor, relation: Tensor, missing: Side) -> Tensor:
        """Return the product of what is known; the two sides are alike."""
        return entity * relation

    def pairs(self, query: Tensor, entity: Tensor) -> Tensor:
        """Return inner products."""
        return (query * entity).sum(-1)

    def tiles(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Return inner products."""
        return tiles.dot(queries, candidates)


class ComplEx(DistMult):
    """Re<h, r, conj(t)> (Trouillon et al., ICML 2016); a row holds real parts, then imaginary ones; no margin."""

    parts = (2, 2)

    def query(self, entity: Tensor, relation: Tensor, missing: Side) -> Tensor:
        """Return h * r for the tail, conj(r) * t for the head."""
        real, imaginary = relation.chunk(2, dim=-1)
        return _rotated(entity, real, imaginary, missing)


class RotatE(Scorer):
    """gamma - sum |h * r - t| over complex coordinates, |r| = 1 (Sun et al., ICLR 2019).

    An entity's row holds real parts, then imaginary ones; a relation's holds phases.
    """

    parts = (2, 1)

    def query(self, entity: Tensor, relation: Tensor, missing: Side) -> Tensor:
        """Return the entity turned by the relation's phases, or turned back."""
        phase = self._phase(relation)
        return _rotated(entity, phase.cos(), phase.sin(), missing)

    def pairs(self, query: Tensor, entity: Tensor) -> Tensor:
        """Return gamma less the summed moduli."""
        real, imaginary = (query - entity).chunk(2, dim=-1)
        moduli: Tensor = torch.linalg.vector_norm(torch.stack([real, imaginary]), dim=0)
        return self.gamma - moduli.sum(-1)

    def tiles(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Return gamma less the summed moduli."""
        return self.gamma - tiles.distance("rotation", queries, candidates, self.compiled)


class PRotatE(Scorer):
    """gamma - C sum |sin((h + r - t) / 2)| over phases (Sun et al., ICLR 2019); C is learned.

    The paper's formula; its code leaves the halving out, so that opposite phases coincide.
    """

    def __init__(self, dim: int, gamma: float, compiled: bool = True) -> None:
        super().__init__(dim, gamma, compiled)
        self.modulus = nn.Parameter(torch.tensor([0.5 * self.range]))

    def query(self, entity: Tensor, relation: Tensor, missing: Side) -> Tensor:
        """Return phases."""
        return self._phase(entity + relation if missing == "tail" else entity - relation)

    def pairs(self, query: Tensor, entity: Tensor) -> Tensor:
        """Return gamma less the summed sines."""
        return self.gamma - self.modulus * ((query - self._phase(entity)) / 2).sin().abs().sum(-1)

    def tiles(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Return gamma less the summed sines."""
        return self.gamma - self.modulus * tiles.distance("sine", queries, self._phase(candidates), self.compiled)


class HAKE(Scorer):
    """gamma - w_m ||h_m r_m - t_m|| - w_p sum |sin((h_p + r_p - t_p) / 2)|, w learned (Zhang et al., AAAI 2020).

    An entity's row holds phases, then moduli; a relation's holds phases, moduli and the bias b of the paper's eq. 6:
    the modulus part is ||h_m (r_m + b) - t_m (1 - b)||, b between -r_m and 1. A query holds phases, the aim of the
    modulus part, and the factor of the missing entity's modulus.
    """

    parts = (2, 3)

    def __init__(self, dim: int, gamma: float, compiled: bool = True) -> None:
        super().__init__(dim, gamma, compiled)
        self.phase_weight = nn.Parameter(torch.tensor([0.5 * self.range]))
        self.modulus_weight = nn.Parameter(torch.tensor([1.0]))

    def first_relations(self, relations: Tensor, generator: torch.Generator) -> None:
        """Start from pure rotations, as HAKE's code does: moduli 1, bias 0."""
        super().first_relations(relations, generator)
        _, stretch, bias = relations.chunk(3, dim=-1)
        stretch.fill_(1.0)
        bias.zero_()

    def query(self, entity: Tensor, relation: Tensor, missing: Side) -> Tensor:
        """Return phases, aim and factor."""
        phase, modulus = entity.chunk(2, dim=-1)
        turn, stretch, bias = relation.chunk(3, dim=-1)
        stretch = stretch.abs()
        bias = torch.maximum(bias.clamp(max=1), -stretch)
        if missing == "tail":
            return torch.cat([self._phase(phase + turn), modulus * (stretch + bias), 1 - bias], dim=-1)
        return torch.cat([self._phase(phase - turn), modulus * (1 - bias), stretch + bias], dim=-1)

    def pairs(self, query: Tensor, entity: Tensor) -> Tensor:
        """Return gamma less the weighted distances of moduli and of phases."""
        phase, modulus = entity.chunk(2, dim=-1)
        angle, aim, factor = query.chunk(3, dim=-1)
        stretched: Tensor = torch.linalg.vector_norm(aim - factor * modulus, dim=-1)
        turned = ((angle - self._phase(phase)) / 2).sin().abs().sum(-1)
        return self.gamma - self.modulus_weight * stretched - self.phase_weight * turned

    def tiles(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Return the same; the modulus part, multiplied out, is two matrix products."""
        phase, modulus = candidates.chunk(2, dim=-1)
        angle, aim, factor = queries.chunk(3, dim=-1)
        crossed = tiles.dot(
            torch.cat([factor.square(), -2 * aim * factor], -1), torch.cat([modulus.square(), modulus], -1)
        )
        stretched = (aim.square().sum(-1).unsqueeze(2) + crossed).clamp(min=1e-12).sqrt()
        turned = tiles.distance("sine", angle.contiguous(), self._phase(phase), self.compiled)
        return self.gamma - self.modulus_weight * stretched - self.phase_weight * turned


def _rotated(entity: Tensor, real: Tensor, imaginary: Tensor, missing: Side) -> Tensor:
    """Return the complex product of entity and relation for the tail, of entity and conj(relation) for the head."""
    mine_real, mine_imaginary = entity.chunk(2, dim=-1)
    if missing == "head":
        imaginary = -imaginary
    return torch.cat(
        [mine_real * real - mine_imaginary * imaginary, mine_real * imaginary + mine_imaginary * real], dim=-1
    )


SCORERS: dict[ScorerName, Callable[[int, float, bool], Scorer]] = {
    "transe_l1": TransE,
    "transe_l2": TransEL2,
    "distmult": DistMult,
    "complex": ComplEx,
    "rotate": RotatE,
    "protate": PRotatE,
    "hake": HAKE,
}
