"""``mimic_pairwise``: the student's question, asked of a hospital's admissions."""

from collections.abc import Callable
from typing import Any

from kedrec.errors import KedrecError, check_least
from kedrec.graph.therapeutic import stated_edges, therapeutic_relations, treating_drugs
from kedrec.graph.trained_embeddings import Exported
from kedrec.kedrec_lm.evidence import Library
from kedrec.kedrec_lm.instruction_data import InstructionData
from kedrec.kedrec_lm.pair_sampling import chosen_draw, drug_vectors
from kedrec.mimic.admission_pairs import admission_pairs, disease_id, prescribed_edges
from kedrec.mimic.admission_tables import Admission, Code, caution, read_admissions, read_titles
from kedrec.mimic.clinical_codes import Mappings, load_mappings
from kedrec.mimic.formulary import Formulary
from kedrec.sources.graph.entity_names import EntityInfo
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import SPLITS
from kedrec.storage.artifact_store import Store


class MimicPairwise(InstructionData):
    """An admission's principal diagnosis, a drug that was prescribed in it, and one that is not given for its like.

    Prescribed is not the same as treating it: a hospital also prescribes for what else a patient has. The irrelevant
    drug is prescribed to somebody, but to fewer than ``usual`` of the admissions of this category of diagnosis, in none
    of those asked about, and the graph knows no therapeutic edge to it. Patients are in one split each; a diagnosis
    with a drug that the test asks about is asked of no other patient in training. What is built of patients is kept in
    the run folder alone and never in the store.

    Args:
        mimic: folder of MIMIC-III or MIMIC-IV, as PhysioNet ships it.
        mappings: folder of clinical codes' tables, see ``kedrec.mimic.clinical_codes``.
        per_admission: drugs of an admission that are asked about, at most.
        usual: share of a category's admissions from which on a drug is not irrelevant to it.
        **options: as in `InstructionData`; ``split_by`` and ``pairs`` have no say, and ``mentioned`` says only which
            passages are indexed.
    """

    private = True
    collection = "MIMIC"

    def __init__(
        self, mimic: str, mappings: str | None = None, per_admission: int = 4, usual: float = 0.05, **options: Any
    ) -> None:
        super().__init__(**options)
        check_least("data", 1, per_admission=per_admission)
        if not 0 < usual <= 1:
            raise KedrecError(f"data.init_args.usual: {usual}; expected a share above 0, up to 1")
        if self.pairs_path is not None:
            raise KedrecError("data.init_args.pairs: MIMIC's admissions say what is asked; leave it out")
        if self.distill is not None:
            raise KedrecError(
                "data.init_args.distill: it keeps what a teacher expects in the store, where nothing of patients may "
                "be; leave it out, and the student asks the teacher as it trains"
            )
        self.mimic = mimic
        self.mappings = mappings
        self.per_admission = per_admission
        self.usual = usual

    def _library(self, store: Store) -> Library:
        library = super()._library(store)
        library.private = self.private
        return library

    def _pairs(self, library: Library, exported: Exported | None, store: Store) -> list[Pair]:
        admissions = read_admissions(self.mimic)
        tables = load_mappings(self.mappings)
        titles = {**tables.titles, **read_titles(self.mimic)}
        titled = [one for one in admissions if one.diagnoses and one.diagnoses[0] in titles]
        library.named.infos.update(
            {disease_id(one.diagnoses[0]): EntityInfo(titles[one.diagnoses[0]], (), "") for one in titled}
        )
        graph = library.named.merged
        orders = [order for one in admissions for order in one.prescriptions]
        formulary = Formulary(graph, library.named.infos, orders, tables.rxcui, tables.atc)
        drugs = {one.admission: _compounds(one, formulary) for one in titled}
        hidden = therapeutic_relations(graph, self.relations)
        validation, test = self.fractions
        asked = prescribed_edges(
            titled,
            drugs,
            self._indicated(library, tables, hidden),
            per_admission=self.per_admission,
            usual=self.usual,
            validation=validation,
            test=test,
            seed=self.seed,
        )
        vector_of = drug_vectors(
            graph,
            self.negatives,
            [(drug, str(stay)) for stay, given in drugs.items() for drug in given],
            hidden,
            None if exported is None else exported.rows([graph.entities[row] for row in graph.of_type("Compound")]),
        )
        pools = dict.fromkeys(SPLITS, asked.pool)
        hardness, balanced = self.hardness, self.balanced
        draw = chosen_draw(pools, asked.treating, vector_of, balanced=balanced, hardness=hardness, seed=self.seed)
        kind = f"{'balanced ' if balanced else ''}{self.negatives}"
        pairs = admission_pairs(asked, draw, kind, self.limits or {}, self.seed)
        patients = len({one.patient for one in admissions})
        self._facts_of_pairs = {
            "patients": patients,
            "admissions": f"{len(admissions)}, of which {len(titled)} have a principal diagnosis with a title",
            "drugs": formulary.coverage(orders),
            "not_understood": ", ".join(f"{name} ({times})" for name, times in formulary.unknown(orders)),
            "asked_of_others": f"{asked.dropped} edges are left out, as a later split asks them of other patients",
            **caution(patients),
        }
        return pairs

    def _indicated(self, library: Library, tables: Mappings, relations: list[str]) -> Callable[[Code], set[str]]:
        """Return the rule that tells which drugs the graph says treat a diagnosis."""
        treating = treating_drugs(stated_edges(library.named.merged, relations), {})

        def indicated(code: Code) -> set[str]:
            same = {library.named.canonical_id(disease) for disease in tables.diseases_of(code)}
            return set().union(*(treating.get(disease, set()) for disease in same))

        return indicated


def _compounds(admission: Admission, formulary: Formulary) -> list[str]:
    """Return the distinct compounds of an admission's prescriptions, in the order of their ids."""
    return sorted({found for order in admission.prescriptions if (found := formulary.compound(order))})
