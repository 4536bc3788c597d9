"""Queries for ranking entities, as a typed batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from kedrec.graph.vocabulary import Side
from kedrec.runtime.batch import Batch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RankingBatch(Batch):
    """Distinct queries, all with the same side missing and an answer of the same type, and the triples that ask them.

    Attributes:
        name: the test set that they are of.
        side: which side is missing.
        entity: (queries,) rows of the entities given.
        relation: (queries,) rows of the relations given.
        candidates: (candidates,) ascending rows of the entities of the answer's type.
        triple: (triples,) number of each triple within its test set.
        query: (triples,) place in ``entity`` of the query that the triple asks.
        target: (triples,) row of the true answer, one of ``candidates``.
        degree: (triples,) training triples that the true answer is in.
        known_query: (known,) places in ``entity``, ascending.
        known: (known,) rows of all true answers of those queries, in any split; the targets are among them.
        candidate_degree: (candidates,) training triples that each candidate is in, or ``None`` where nobody counted.
    """

    name: str
    side: Side
    entity: Tensor
    relation: Tensor
    candidates: Tensor
    triple: Tensor
    query: Tensor
    target: Tensor
    degree: Tensor
    known_query: Tensor
    known: Tensor
    candidate_degree: Tensor | None = None

    def among_candidates(self) -> Self:
        """Return the same with the candidates as all there is: entities that may answer are given by their places."""
        import torch

        inside = torch.isin(self.known, self.candidates)
        return replace(
            self,
            candidates=torch.arange(len(self.candidates), device=self.candidates.device),
            target=torch.searchsorted(self.candidates, self.target.contiguous()),
            known_query=self.known_query[inside],
            known=torch.searchsorted(self.candidates, self.known[inside]),
        )
