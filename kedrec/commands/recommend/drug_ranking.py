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
        drug: id; it stands for the drug's namesakes.
        rank: among all drugs, from 1.
        new_rank: among the drugs that the graph does not call a treatment of the disease; ``None`` for one of these.
        asked_rank: among the drugs that training has not shown as treatments; ``None`` for one that it has.
        score: the run's best over therapeutic relations and namesakes; comparable for one disease and run.
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
        graph: says which drugs treat which diseases; drugs and diseases that the embeddings lack are left out.
        kept: for each entity of the graph the row of the one that stands for its namesakes, who count as one.
        therapeutic: relations, by full name, that say what is known.
        relations: those of them that scores are taken over; by full name.

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
        """For each disease the drugs that the graph calls its treatments; ids that stand for their namesakes."""
        found: dict[str, dict[str, Known]] = {}
        entities, held = self.graph.entities, self.exported.held_out
        for head, relation, tail in self.graph.edges(self.therapeutic).tolist():
            triple = (entities[head], self.graph.relations[relation], entities[tail])
            one, other = entities[self.kept[head]], entities[self.kept[tail]]
            drug, disease = (one, other) if one.startswith("Compound::") else (other, one)
            told: Known = "held out" if triple in held else "training"
            if found.setdefault(disease, {}).get(drug) != "training":
                found[disease][drug] = told
        return found

    def scores(self, disease: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the best score of each of ``drugs``, ``(drugs,)``, and the number of the relation that gives it.

        Args:
            disease: id, and those of its namesakes.

        Raises:
            KedrecError: the embeddings have none of them.
        """
        queries = self._queries(disease)
        best = np.full((len(queries), len(self.drugs)), -np.inf, dtype=np.float32)
        with np.errstate(invalid="ignore", over="ignore"):  # who ranks looks for what is no number
            for row, query in zip(best, queries, strict=True):
                np.maximum.at(row, self._group, self.exported.scorer.pairs(query, self._table))
        by = best.argmax(0)
        return best[by, np.arange(len(self.drugs))], by % len(self._asked)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Drug -> place in ``drugs``."""
        return {drug: place for place, drug in enumerate(self.drugs)}

    def order(self, score: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return places in ``drugs`` by falling score, ``(drugs,)``; equal ones by their ids."""
        return np.lexsort((self._by_name, -score))

    def rank(self, disease: Sequence[str]) -> list[Candidate]:
        """Return all drugs, best first.

        Args:
            disease: id, and those of its namesakes; the first stands for all.

        Raises:
            KedrecError: the embeddings have none of them, or hold what is no number.
        """
        score, by = self.scores(disease)
        if not np.isfinite(score).all():
            raise KedrecError("the run's embeddings give scores that are no numbers; train it again, at a lower rate")
        known = self.known.get(disease[0], {})
        found: list[Candidate] = []
        new = asked = 0
        for rank, place in enumerate(self.order(score).tolist(), start=1):
            told = known.get(self.drugs[place])
            new += told is None
            asked += told != "training"
            found.append(
                Candidate(
                    drug=self.drugs[place],
                    rank=rank,
                    new_rank=new if told is None else None,
                    asked_rank=asked if told != "training" else None,
                    score=round(float(score[place]), 5),
                    relation=self._asked[by[place]][0],
                    known=told,
                )
            )
        return found

    def _queries(self, disease: Sequence[str]) -> NDArray[np.float32]:
        """Return where a drug of the disease should lie: ``(namesakes * relations, width)``."""
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
