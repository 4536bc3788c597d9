"""Hospital visits of MIMIC as Lightning batches: codes of a patient's history, and the drugs that were prescribed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from kedrec.errors import KedrecError, check_least
from kedrec.graph.knowledge_graph import KnowledgeGraph, load_graph
from kedrec.mimic.admission_tables import caution, read_admissions
from kedrec.mimic.clinical_codes import load_mappings
from kedrec.mimic.drug_set_data import DrugSetData
from kedrec.mimic.formulary import Formulary
from kedrec.mimic.histories import histories, label_compounds, read_interactions
from kedrec.mimic.visit_batches import EncodedVisit, VisitBatches, VisitCoder, collate
from kedrec.sources.graph.entity_names import find_entities_file, load_entity_info
from kedrec.sources.graph.molecules import find_smiles_file, load_smiles
from kedrec.splits.seeded_split import SPLITS, Split, check_patients, split_patients
from kedrec.storage.artifact_store import Store

INTERACTS = "DRUGBANK::ddi-interactor-in"


class VisitData(DrugSetData):
    """Drugs to be recommended at the hospital visits of MIMIC-III or MIMIC-IV, as SafeDrug (arXiv 2105.02711) sets it.

    A drug's label is the beginning of its ATC code; of a compound that has several, the label of most
    unambiguous drugs in training visits. Visits without a diagnosis or without a labelled drug are left out; those
    without a procedure are retained, which the authors leave out. Nothing derived from MIMIC is kept in the store.

    Args:
        mimic: folder of MIMIC-III or MIMIC-IV.
        graph: folder or file of triples with ATC codes; names and SMILES lie beside it.
        mappings: folder of further tables of drugs' codes, such as NDC to RxNorm; ``null`` for none.
        ddi: tab-separated file of two drugs that interact a line, each a compound of the graph or an ATC code;
            ``null`` takes the graph's interactions, where it has any.
        characters: length of a label, the beginning of an ATC code; 4, its third level, as in the paper.
        least_visits: patients with fewer visits are left out; the paper's 2.
        validation: share of the patients.
        test: share of the patients.
        batch_size: patients.
        seed: of split and order.
    """

    private = True
    collection = "MIMIC"

    def __init__(
        self,
        mimic: str,
        graph: str,
        mappings: str | None = None,
        ddi: str | None = None,
        characters: int = 4,
        least_visits: int = 2,
        validation: float = 1 / 6,
        test: float = 1 / 6,
        batch_size: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_least("data", 1, least_visits=least_visits, batch_size=batch_size)
        if characters not in (1, 3, 4, 5, 7):
            raise KedrecError(f"data.init_args.characters: {characters}; expected the length of an ATC code, 1 3 4 5 7")
        if not (validation > 0 and test > 0 and validation + test < 1):
            raise KedrecError(f"data.init_args.test: shares {validation} and {test} leave no patients for each split")
        self.mimic = mimic
        self.graph_path = graph
        self.mappings = mappings
        self.ddi = ddi
        self.characters = characters
        self.least_visits = least_visits
        self.shares = (validation, test)
        self.batch_size = batch_size
        self.seed = seed
        self.facts: dict[str, Any] = {}
        self._encoded: dict[str, list[list[EncodedVisit]]] = {}

    def prepare_data(self) -> None:
        """Build what the store lacks of the graph, in one process."""
        self.setup("fit")

    def setup(self, stage: str) -> None:
        """Read, split and encode, once."""
        if not self._encoded:
            self._prepare(Store())

    def train_dataloader(self) -> Any:
        """Return batches of patients, from the position of a checkpoint."""
        labels = len(self.drugs.labels)
        return self.resumed(VisitBatches(self._encoded["train"], labels, self.batch_size, self.seed))

    def val_dataloader(self) -> Any:
        """Return the validation patients in their stored order."""
        return self._plain("validation")

    def test_dataloader(self) -> Any:
        """Return the test patients in their stored order."""
        return self._plain("test")

    def _plain(self, split: str) -> "DataLoader[Any]":
        rows, size = self._encoded[split], self.batch_size
        numbers = [range(first, min(first + size, len(rows))) for first in range(0, len(rows), size)]
        batches = [collate(rows, places, len(self.drugs.labels)) for places in numbers]
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]

    def _prepare(self, store: Store) -> None:
        graph = load_graph(self.graph_path, store)
        admissions = read_admissions(self.mimic)
        orders = [order for stay in admissions for order in stay.prescriptions]
        entities, tables = find_entities_file(self.graph_path), load_mappings(self.mappings)
        infos = load_entity_info(entities) if entities else {}
        formulary = Formulary(graph, infos, orders, tables.rxcui, tables.atc)
        patients = histories(admissions, formulary, self.characters, self.least_visits)
        split = self._split(patients)
        training = [visit for one in split["train"] for visit in patients[one]]
        compounds = {compound for history in patients.values() for visit in history for compound in visit.compounds}
        coder = VisitCoder(training, label_compounds(compounds, formulary, self.characters, training))
        smiles_file = find_smiles_file(self.graph_path)
        smiles = load_smiles(smiles_file) if smiles_file else {}
        self.drugs = coder.vocabulary(smiles, self._interactions(graph, coder))
        # From here on visits cannot be traced to patients.
        self._encoded = {name: [coder.encode(patients[one]) for one in its] for name, its in split.items()}
        structured = sum((compound := formulary.compound(order)) is not None and compound in smiles for order in orders)
        self.facts = {
            "mimic": f"{self.mimic}; what is derived from it stays in this folder, and patients have new numbers",
            "graph": f"{self.graph_path}, SHA-256 {graph.source_hash}",
            "patients": {name: len(rows) for name, rows in self._encoded.items()},
            "visits": {name: sum(map(len, rows)) for name, rows in self._encoded.items()},
            "drugs": f"{formulary.coverage(orders)}; {structured} prescriptions have a SMILES",
            "labels": self._label_facts(),
            "interactions": self._interaction_facts(),
            **caution(len(patients)),
        }

    def _split(self, patients: Mapping[int, object]) -> dict[Split, list[int]]:
        if len(patients) < len(SPLITS):
            raise KedrecError(
                f"{self.mimic}: {len(patients)} patients have {self.least_visits} or more visits with diagnoses and "
                "drugs, too few for three splits; see data.init_args.least_visits"
            )
        split = split_patients(patients, *self.shares, self.seed)
        check_patients(split)
        return split

    def _interactions(self, graph: KnowledgeGraph, coder: VisitCoder) -> NDArray[np.bool_] | None:
        """Return ``(labels, labels)``, from the file or from the graph; ``None`` where neither has interactions."""
        if self.ddi is not None:
            matrix = coder.interactions(read_interactions(self.ddi, self.characters))
            if not matrix.any():
                raise KedrecError(
                    f"{self.ddi}: no pair is of two labels of {self.mimic}; expected compounds as the graph writes "
                    "them, such as Compound::DB00945, or ATC codes"
                )
            return matrix
        named = [one for one in graph.relations if one == INTERACTS or one.startswith(f"{INTERACTS}::")]
        ends = graph.edges(named)[:, ::2].tolist()
        matrix = coder.interactions((graph.entities[head], graph.entities[tail]) for head, tail in ends)
        return matrix if matrix.any() else None  # a graph without any interaction has no data on them

    def _label_facts(self) -> str:
        drugs, outside = self.drugs, {}
        for name in SPLITS[1:]:
            visits = [visit for row in self._encoded[name] for visit in row]
            outside[name] = f"{sum(v.outside for v in visits)} of {sum(v.outside + len(v.drugs) for v in visits)}"
        unknown = ", ".join(f"{count} in {name}" for name, count in outside.items())
        return (
            f"{len(drugs.labels)} ATC codes of {self.characters} characters, {drugs.drugs_a_visit:.1f} a training "
            f"visit, {sum(map(bool, drugs.smiles))} with molecules; drugs under labels that training lacks: {unknown}"
        )

    def _interaction_facts(self) -> str:
        known = self.drugs.interactions
        if known is None:
            return (
                f"unknown: no `ddi` file and no {INTERACTS} in the graph, so that there is no DDI rate and no DDI loss"
            )
        pairs = len(known) * (len(known) - 1) // 2
        return f"{int(known.sum()) // 2} of {pairs} pairs of labels, from {self.ddi or self.graph_path}"
