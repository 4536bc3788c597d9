"""From a finished run and a disease to the answer: the ranking, then the evidence on its first drugs."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kedrec.commands.recommend.disease_list import HOW_TO_LIST, ListedDisease, list_diseases
from kedrec.commands.recommend.drug_ranking import Candidate, DrugRanking
from kedrec.commands.recommend.rank_confidence import Calibration, calibrate
from kedrec.commands.recommend.recommendation import Answer, Disease, PublishedDrug, Ranked, Recommendation, Run
from kedrec.errors import KedrecError
from kedrec.graph.entity_lookup import Lookup
from kedrec.graph.named_graph import NamedGraph
from kedrec.graph.paths import types_between
from kedrec.graph.therapeutic import THERAPEUTIC, therapeutic_relations
from kedrec.graph.trained_embeddings import Exported
from kedrec.sources.graph.entity_ids import entity_type
from kedrec.splits.split_folder import is_split_folder
from kedrec.storage.artifact_store import Store
from kedrec.training.loaded_run import FinishedRun

if TYPE_CHECKING:  # with it comes all that explaining takes
    from kedrec.commands.recommend.investigator import Investigator


@dataclass(frozen=True)
class Wanted:
    """The extent of an answer.

    Attributes:
        top: drugs listed.
        explain: number of listed new drugs with a name for which evidence is collected.
        drop_known: leave known treatments out of the list.
        metapath: types of the paths to show; ``None`` for all.
    """

    top: int = 10
    explain: int = 3
    drop_known: bool = False
    metapath: str | None = None


class Recommender:
    """Ranks drugs by a finished run of a KGE or GNN.

    Args:
        run: the run.
        graph: where its graph lies now; ``None`` where its ``config.yaml`` says.
        store: keeps the graph and the counts of held-out treatments.

    Raises:
        KedrecError: it is no such run, or the graph is absent or another.
    """

    def __init__(self, run: FinishedRun, graph: str | None, store: Store) -> None:
        settings = run.experiment.tree["data"]["init_args"]
        self.run = run
        self.graph_path = graph or str(settings["graph"])
        if is_split_folder(self.graph_path):
            raise KedrecError(f"{self.graph_path}: a graph that is split; name the whole one by graph=PATH")
        self.named = NamedGraph.load(self.graph_path, store)
        self.graph = self.named.graph
        names = settings.get("relations", list(THERAPEUTIC))
        if not names:
            raise KedrecError(f"{run.path}: data.init_args.relations names no therapeutic relation to rank by")
        self.relations = self.graph.match_relations(names, optional=THERAPEUTIC)
        self.therapeutic = therapeutic_relations(self.graph, names)
        exported = Exported.load(run.path)
        self.ranking = DrugRanking(exported, self.graph, self.named.canonical_rows, self.therapeutic, self.relations)
        self._store = store

    @cached_property
    def calibration(self) -> Calibration:
        """How often drugs at a rank are held-out treatments."""
        return calibrate(self.ranking, self.named.names_hash, self._store)

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(self.graph, self.named.names, self.named.canonical_rows, "Disease")

    def check_metapath(self, metapath: str) -> None:
        """Raise unless the graph has such paths from drugs to diseases.

        Raises:
            KedrecError: a type is none of the graph's, or the ends are others.
        """
        kinds = {entity_type(entity) for entity in self.graph.entities}
        types_between(metapath, sorted(kinds), "Compound", "Disease")

    def diseases(self, word: str = "") -> list[ListedDisease]:
        """Return the diseases that drugs can be ranked for, as `list_diseases` does."""
        return list_diseases(self.named, self.ranking, word)

    def rank(self, asked: str) -> Ranked:
        """Return all drugs, ranked.

        Args:
            asked: the disease: a name, a synonym, an id.

        Raises:
            KedrecError: several diseases are meant, or none; or the run has not embedded it.
        """
        try:
            ids = self._lookup.find(asked)
        except KedrecError as fault:
            count = len(self.diseases())
            raise KedrecError(f"{fault}\ndrugs can be ranked for {count:,} diseases: {HOW_TO_LIST}") from None
        degrees = np.bincount(self.graph.triples[:, ::2].ravel(), minlength=len(self.graph.entities))
        edges = sum(int(degrees[self.graph.entity_rows[one]]) for one in ids)
        known = len(self.ranking.known.get(ids[0], {}))
        disease = Disease(asked, ids[0], tuple(ids), self.named.names(ids[0])[0], edges, known)
        return Ranked(disease, self.ranking.rank(ids))

    def to_explain(self, ranked: Ranked, wanted: Wanted) -> list[str]:
        """Return the first listed drugs that are new and have a name, without which no prompt can be written."""
        new = [one.drug for one in _listed(ranked, wanted) if one.known is None]
        return [drug for drug in new if self.named.names(drug) != (drug,)][: wanted.explain]

    def answer(self, ranked: Ranked, wanted: Wanted, investigator: "Investigator | None" = None) -> Answer:
        """Return the answer of a ranking, with the evidence of an investigator.

        Args:
            ranked: as `rank` returns it.
            wanted: the extent of the answer.
            investigator: collects the evidence on the drugs of `to_explain`; ``None`` only ranks.
        """
        details = investigator.details(ranked, self.to_explain(ranked, wanted), wanted.metapath) if investigator else {}
        treated = "training" in self.ranking.known.get(ranked.disease.id, {}).values()
        recommendations = [
            Recommendation(
                name=self.named.names(one.drug)[0],
                candidate=one,
                confidence=None if one.asked_rank is None else self.calibration.at(one.asked_rank, treated=treated),
                details=details.get(one.drug),
            )
            for one in _listed(ranked, wanted)
        ]
        return Answer(
            disease=ranked.disease,
            run=self._facts(),
            dropped_known=wanted.drop_known,
            metapath=wanted.metapath,
            recommendations=tuple(recommendations),
            student=investigator.explainer.facts if investigator else None,
            published=tuple(self._published(ranked)),
        )

    def _facts(self) -> Run:
        return Run(
            path=str(self.run.path),
            id=self.run.experiment.run_id,
            scorer=type(self.ranking.exported.scorer).__name__,
            graph=self.graph_path,
            graph_hash=self.graph.source_hash,
            relations=tuple(self.relations),
            drugs=len(self.ranking.drugs),
        )

    def _published(self, ranked: Ranked) -> list[PublishedDrug]:
        """Return the drugs of the experiment's case, if it is on this disease, with their ranks."""
        case: dict[str, Any] = self.run.experiment.tree.get("case") or {}
        if not case or ranked.disease.id not in self._lookup.matching(str(case.get("disease", ""))):
            return []
        place_of = {one.drug: one for one in ranked.candidates}
        published: dict[str, str] = case.get("published") or {}
        ids = [f"Compound::{identifier}" for identifier in published.values()]
        return [
            PublishedDrug(place, name, place_of.get(self.named.canonical_id(drug)))
            for place, (name, drug) in enumerate(zip(published, ids, strict=True), start=1)
        ]


def _listed(ranked: Ranked, wanted: Wanted) -> list[Candidate]:
    return [one for one in ranked.candidates if one.known is None or not wanted.drop_known][: wanted.top]
