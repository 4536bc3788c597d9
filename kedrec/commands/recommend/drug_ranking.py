"""All drugs of a graph, ranked for a disease by a run's embeddings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.trained_embeddings import Exported
from kedrec.graph.vocabulary import Side

Known = Literal["training", "held out"]


@dataclass(frozen=True)
class Candidate:
    """A drug in the ranking for a disease.

    Attributes:
        drug: canonical id.
        rank: among all drugs, from 1.
        new_rank: among the drugs that the graph does not call a treatment of the disease; ``None`` for one of these.
        asked_rank: among the drugs that training has not shown as treatments; ``None`` for one that it has.
        score: the run's best over therapeutic relations and synonymous ids; comparable for one disease and run.
        relation: the therapeutic relation of that score.
        known: whether the graph calls it a treatment: of ``training``, or ``held out`` from it; ``None`` where not.
    """

    drug: str
    rank: int
    new_rank: int | None
    asked_rank: int | None
    score: float
    relation: str
    known: Known | None


class DrugRanking:
    """Ranks the drugs of a graph.

    Args:
        exported: the run's embeddings.
        graph: has the known treatments; drugs and diseases that the embeddings lack are left out.
        kept: for each entity of the graph the row of its canonical id; synonymous ids count as one.
        therapeutic: relations, by full name, that state known treatments.
        relations: those of them over which scores are taken; by full name.

    Raises:
        KedrecError: the embeddings have none of the drugs, or none of the relations.
    """

    def __init__(
        self,
        exported: Exported,
        graph: KnowledgeGraph,
        kept: NDArray[np.int32],
        therapeutic: Sequence[str],
        relations: Sequence[str],
    ) -> None:
        self.exported = exported
        self.graph = graph
        self.kept = kept
        self.therapeutic = therapeutic
        self._asked = [one for name in relations for one in self._sides(name) if name in exported.relation_rows]
        rows = [row for row in graph.of_type("Compound").tolist() if graph.entities[row] in exported.entity_rows]
        if not rows or not self._asked:
            what = "drugs" if not rows else "therapeutic relations"
            raise KedrecError(f"the run's embeddings have none of the graph's {what}; give the run's own graph=PATH")
        keepers, group = np.unique(kept[rows], return_inverse=True)
        self.drugs: list[str] = [graph.entities[row] for row in keepers]
        self._group = group
        self._table = exported.entity[[exported.entity_rows[graph.entities[row]] for row in rows]]
        self._by_name = np.argsort(np.argsort(np.array(self.drugs)))

    @cached_property
    def known(self) -> Mapping[str, Mapping[str, Known]]:
        """For each disease the drugs that the graph calls its treatments, by canonical ids."""
        found: dict[str, dict[str, Known]] = {}
        entities, held = self.graph.entities, self.exported.held_out
        for head, relation, tail in self.graph.edges(self.therapeutic).tolist():
            triple = (entities[head], self.graph.relations[relation], entities[tail])
            one, other = entities[self.kept[head]], entities[self.kept[tail]]
            drug, disease = (one, other) if one.startswith("Compound::") else (other, one)
            known: Known = "held out" if triple in held else "training"
            if found.setdefault(disease, {}).get(drug) != "training":
                found[disease][drug] = known
        return found

    def scores(self, disease: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the best score of each of ``drugs``, ``(drugs,)``, and the number of the relation that gives it.

        Args:
            disease: id, and those of its synonyms.

        Raises:
            KedrecError: the embeddings have none of them.
        """
        queries = self._queries(disease)
        best = np.full((len(queries), len(self.drugs)), -np.inf, dtype=np.float32)
        with np.errstate(invalid="ignore", over="ignore"):  # `rank` checks for NaN and infinity
            for row, query in zip(best, queries, strict=True):
                np.maximum.at(row, self._group, self.exported.scorer.pairs(query, self._table))
        by = best.argmax(0)
        return best[by, np.arange(len(self.drugs))], by % len(self._asked)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Drug -> index in ``drugs``."""
        return {drug: index for index, drug in enumerate(self.drugs)}

    def order(self, score: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return indices of ``drugs`` by falling score, ``(drugs,)``; equal ones by their ids."""
        return np.lexsort((self._by_name, -score))

    def rank(self, disease: Sequence[str]) -> list[Candidate]:
        """Return all drugs, best first.

        Args:
            disease: its ids, the canonical one first.

        Raises:
            KedrecError: the embeddings have none of them, or hold NaN or infinity.
        """
        score, by = self.scores(disease)
        if not np.isfinite(score).all():
            raise KedrecError("the run's embeddings give NaN or infinite scores; train it with a lower learning rate")
        known = self.known.get(disease[0], {})
        found: list[Candidate] = []
        new = asked = 0
        for rank, index in enumerate(self.order(score).tolist(), start=1):
            status = known.get(self.drugs[index])
            new += status is None
            asked += status != "training"
            found.append(
                Candidate(
                    drug=self.drugs[index],
                    rank=rank,
                    new_rank=new if status is None else None,
                    asked_rank=asked if status != "training" else None,
                    score=round(float(score[index]), 5),
                    relation=self._asked[by[index]][0],
                    known=status,
                )
            )
        return found

    def _queries(self, disease: Sequence[str]) -> NDArray[np.float32]:
        """Return the query vectors of the disease: ``(synonyms * relations, width)``."""
        rows = [self.exported.entity_rows[one] for one in disease if one in self.exported.entity_rows]
        if not rows:
            raise KedrecError(f"{disease[0]}: not among the run's embeddings; give the run's own graph=PATH")
        queries = []
        for row in rows:
            for name, missing in self._asked:
                relation = self.exported.relation[self.exported.relation_rows[name]]
                queries.append(self.exported.scorer.query(self.exported.entity[row], relation, missing))
        return np.stack(queries)

    def _sides(self, relation: str) -> list[tuple[str, Side]]:
        """Return a relation with the side, or sides, on which drugs stand."""
        ends = self.graph.edges([relation])[:, ::2]
        sides: tuple[Side, Side] = ("head", "tail")
        return [
            (relation, side)
            for side, rows in zip(sides, ends.T, strict=True)
            if any(self.graph.entities[row].startswith("Compound::") for row in rows[:1].tolist())
        ]
