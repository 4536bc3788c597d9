"""Pairs from the admissions of MIMIC: drugs that were prescribed, and drugs that were not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kedrec.errors import KedrecError, check_least
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.named_graph import NamedGraph
from kedrec.graph.therapeutic import stated_edges, therapeutic_relations, treating_drugs
from kedrec.graph.trained_embeddings import Exported
from kedrec.kedrec_lm.pair_sampling import chosen_draw, drug_vectors
from kedrec.kedrec_lm.pair_source import PairSet, PairSource
from kedrec.kedrec_lm.question_settings import PairSettings, RetrievalSettings, SplitSettings
from kedrec.mimic.admission_pairs import Prescribed, admission_pairs, disease_id, prescribed_edges
from kedrec.mimic.admission_tables import Admission, Code, caution, read_admissions, read_titles
from kedrec.mimic.clinical_codes import Mappings, load_mappings
from kedrec.mimic.formulary import Formulary
from kedrec.sources.graph.entity_names import EntityInfo
from kedrec.sources.text.text_source import TextSource
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import SPLITS
from kedrec.splits.split_consistency import by_canonical_ids
from kedrec.splits.split_creation import given_split, split_from_pairs
from kedrec.storage.artifact_store import Store


@dataclass(frozen=True)
class AdmissionSettings:
    """Which admissions the questions are about.

    Attributes:
        mimic: folder of MIMIC-III or MIMIC-IV, as PhysioNet ships it.
        mappings: folder of clinical codes' tables, see ``kedrec.mimic.clinical_codes``.
        per_admission: most drugs of an admission that questions are about.
        usual: share of a category's admissions from which on a drug is not irrelevant to it.
    """

    mimic: str
    mappings: str | None = None
    per_admission: int = 4
    usual: float = 0.05

    def check(self) -> None:
        """Raise where a setting is out of range.

        Raises:
            KedrecError: names it.
        """
        check_least("data", 1, **{"admissions.per_admission": self.per_admission})
        if not 0 < self.usual <= 1:
            raise KedrecError(f"data.init_args.admissions.usual: {self.usual}; expected a share above 0, up to 1")


class AdmissionPairs(PairSource):
    """An admission's principal diagnosis, a drug that was prescribed in it, and one that is unusual for the diagnosis.

    Args:
        graph: as in `PairSource`.
        texts: likewise.
        pairs: likewise; ``file`` must be absent, and ``mentioned`` only decides which passages are indexed.
        split: likewise; patients are split, whatever ``by`` says.
        retrieval: likewise.
        seed: likewise.
        admissions: which admissions.
        reads_texts: as in `PairSource`.

    Raises:
        KedrecError: a setting is out of range, or has no meaning here.
    """

    private = True

    def __init__(
        self,
        graph: str,
        texts: str | TextSource | None,
        pairs: PairSettings,
        split: SplitSettings,
        retrieval: RetrievalSettings,
        seed: int,
        admissions: AdmissionSettings,
        *,
        reads_texts: bool = True,
    ) -> None:
        super().__init__(graph, texts, pairs, split, retrieval, seed, reads_texts=reads_texts)
        admissions.check()
        if pairs.file is not None:
            raise KedrecError(
                "data.init_args.pairs.file: the questions are about MIMIC's admissions; leave the file out"
            )
        self.admissions = admissions

    def load(self, store: Store) -> PairSet:
        """Return the pairs; nothing of them is kept in the store."""
        admissions = read_admissions(self.admissions.mimic)
        tables = load_mappings(self.admissions.mappings)
        titles = {**tables.titles, **read_titles(self.admissions.mimic)}
        titled = [one for one in admissions if one.diagnoses and one.diagnoses[0] in titles]
        named = NamedGraph.load(self.graph, store).with_names(
            {disease_id(one.diagnoses[0]): EntityInfo(titles[one.diagnoses[0]], (), "") for one in titled}
        )
        corpus, embeddings = self.open_corpus(named, store), self.load_embeddings()
        orders = [order for one in admissions for order in one.prescriptions]
        formulary = Formulary(named.merged, named.infos, orders, tables.rxcui, tables.atc)
        drugs = {one.admission: _compounds(one, formulary) for one in titled}
        prescribed = self._prescribed(titled, drugs, named, tables)
        pairs = self._pairs(prescribed, drugs, named.merged, embeddings)
        split = given_split(self.split.file, named, self.pairs.relations) or split_from_pairs(
            named, self.pairs.relations, by_canonical_ids(pairs, named.canonical_id)
        )
        patients = len({one.patient for one in admissions})
        unknown = ", ".join(f"{name} ({times})" for name, times in formulary.unknown(orders))
        facts: dict[str, Any] = {
            "patients": patients,
            "admissions": f"{len(admissions)}, of which {len(titled)} have a principal diagnosis with a title",
            "drugs": formulary.coverage(orders),
            "not_understood": unknown,
            "asked_of_others": f"{prescribed.dropped} edges are left out, as a later split asks them of other patients",
            **caution(patients),
        }
        return PairSet(named, corpus, pairs, split, embeddings, self.graph, facts)

    def _prescribed(
        self, titled: Sequence[Admission], drugs: Mapping[int, Sequence[str]], named: NamedGraph, tables: Mappings
    ) -> Prescribed:
        """Return which (drug, diagnosis) the questions of each split are about."""
        return prescribed_edges(
            titled,
            drugs,
            _indicated(named, tables, self._therapeutic(named.merged)),
            per_admission=self.admissions.per_admission,
            usual=self.admissions.usual,
            validation=self.split.validation,
            test=self.split.test,
            seed=self.seed,
        )

    def _pairs(
        self,
        prescribed: Prescribed,
        drugs: Mapping[int, Sequence[str]],
        graph: KnowledgeGraph,
        embeddings: Exported | None,
    ) -> list[Pair]:
        """Return the pairs of a prescribed drug and an irrelevant one."""
        settings = self.pairs
        vector_of = drug_vectors(
            graph,
            settings.negatives,
            [(drug, str(stay)) for stay, given in drugs.items() for drug in given],
            self._therapeutic(graph),
            None if embeddings is None else embeddings.rows([graph.entities[row] for row in graph.of_type("Compound")]),
        )
        draw = chosen_draw(
            dict.fromkeys(SPLITS, prescribed.pool),
            prescribed.treating,
            vector_of,
            balanced=settings.balanced,
            hardness=settings.hardness,
            seed=self.seed,
        )
        kind = f"{'balanced ' if settings.balanced else ''}{settings.negatives}"
        return admission_pairs(prescribed, draw, kind, settings.limits or {}, self.seed)

    def _therapeutic(self, graph: KnowledgeGraph) -> list[str]:
        return therapeutic_relations(graph, self.pairs.relations)


def _indicated(named: NamedGraph, tables: Mappings, relations: list[str]) -> Callable[[Code], set[str]]:
    """Return a function from a diagnosis to the drugs that treat it in the graph."""
    treating = treating_drugs(stated_edges(named.merged, relations), {})

    def indicated(code: Code) -> set[str]:
        diseases = {named.canonical_id(disease) for disease in tables.diseases_of(code)}
        return set().union(*(treating.get(disease, set()) for disease in diseases))

    return indicated


def _compounds(admission: Admission, formulary: Formulary) -> list[str]:
    """Return the distinct compounds of an admission's prescriptions, in the order of their ids."""
    return sorted({compound for order in admission.prescriptions if (compound := formulary.compound(order))})
