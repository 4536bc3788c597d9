"""Pairs from hospital admissions: for the principal diagnosis, a prescribed drug and one that is not prescribed."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kedrec.errors import KedrecError
from kedrec.graph.links import Edge
from kedrec.kedrec_lm.irrelevant_drugs import Draw
from kedrec.kedrec_lm.pair_sampling import drawn_pairs
from kedrec.mimic.admission_tables import Admission, Code
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import SPLITS, Split, check_patients, seeded_order, split_patients

log = logging.getLogger(__name__)

PRESCRIBED = "MIMIC::prescribed"


def disease_id(code: Code) -> str:
    """Return the entity id of a diagnosis's code, e.g. ``Disease::ICD9:99591``."""
    vocabulary, digits = code
    return f"Disease::{vocabulary}:{digits}"


def category(code: Code) -> Code:
    """Return the category of a diagnosis: three characters, four of ICD-9's causes of injury (E000-E999)."""
    vocabulary, digits = code
    return vocabulary, digits[: 4 if vocabulary == "ICD9" and digits.startswith("E") else 3]


@dataclass(frozen=True)
class Prescribed:
    """True edges of admissions, patients apart.

    Attributes:
        edges: split -> (drug, diagnosis), none in two splits.
        given: edge -> the drugs of all admissions with this edge: none of them is irrelevant there.
        treating: diagnosis -> drugs that are not irrelevant to it.
        pool: drugs that are prescribed to anybody.
        dropped: number of edges left out of training or validation, because a later split has them for other patients.
    """

    edges: Mapping[Split, Sequence[Edge]]
    given: Mapping[Edge, set[str]]
    treating: Mapping[str, set[str]]
    pool: Sequence[str]
    dropped: int


def prescribed_edges(
    admissions: Sequence[Admission],
    drugs: Mapping[int, Sequence[str]],
    indicated: Callable[[Code], set[str]],
    *,
    per_admission: int,
    usual: float,
    validation: float,
    test: float,
    seed: int,
) -> Prescribed:
    """Return the true edges of each split.

    Args:
        admissions: those with a principal diagnosis that can be named.
        drugs: admission -> compounds prescribed in it.
        indicated: from a diagnosis to the drugs that treat it in the graph.
        per_admission: most drugs of an admission that make an edge.
        usual: a drug that is prescribed in this share of the admissions with a principal diagnosis of the same
            category, of any split, is not irrelevant to it.
        validation: share of the patients.
        test: likewise.
        seed: of split and choice.

    Raises:
        KedrecError: no admission has a drug, or there are too few patients to split.
    """
    usable = [one for one in admissions if drugs.get(one.admission)]
    if not usable:
        raise KedrecError("no admission has both a diagnosis with a title and a prescription that names a compound")
    patients = split_patients((one.patient for one in usable), validation, test, seed)
    check_patients(patients)
    homes = {patient: name for name, its in patients.items() for patient in its}
    edges: dict[Split, dict[Edge, None]] = {name: {} for name in SPLITS}
    given: dict[Edge, set[str]] = defaultdict(set)
    for one in usable:
        chosen = seeded_order(drugs[one.admission], seed, f"asked {one.admission}")[:per_admission]
        for drug in chosen:
            edge = (drug, disease_id(one.diagnoses[0]))
            edges[homes[one.patient]][edge] = None
            given[edge].update(drugs[one.admission])
    met = sum(map(len, edges.values()))
    disjoint = {
        "test": list(edges["test"]),
        "validation": [edge for edge in edges["validation"] if edge not in edges["test"]],
        "train": [edge for edge in edges["train"] if edge not in {**edges["test"], **edges["validation"]}],
    }
    usually = _usual(usable, drugs, usual)
    codes = {disease_id(one.diagnoses[0]): one.diagnoses[0] for one in usable}
    treating = {disease: usually[category(code)] | indicated(code) for disease, code in codes.items()}
    pool = sorted({drug for of in drugs.values() for drug in of})
    return Prescribed(
        {name: disjoint[name] for name in SPLITS}, given, treating, pool, met - sum(map(len, disjoint.values()))
    )


def admission_pairs(prescribed: Prescribed, draw: Draw, kind: str, limit: Mapping[str, int], seed: int) -> list[Pair]:
    """Return the pairs of all splits.

    Args:
        prescribed: the true edges.
        draw: samples irrelevant drugs that are not among ``prescribed.treating``; pairs whose irrelevant drug was given
            in an admission of the edge are left out.
        kind: of the negatives, for the provenance.
        limit: most pairs a split.
        seed: of the experiment.
    """
    stated = {edge: {PRESCRIBED} for of in prescribed.edges.values() for edge in of}
    edges = prescribed.edges
    drawn = [pair for name in SPLITS for pair in drawn_pairs(edges[name], name, stated, draw, kind, limit, seed)]
    pairs = [pair for pair in drawn if pair.irrelevant not in prescribed.given[pair.relevant, pair.disease]]
    if len(pairs) < len(drawn):
        log.warning("%d pairs are left out: their irrelevant drug was given in an admission", len(drawn) - len(pairs))
    return pairs


def _usual(
    admissions: Sequence[Admission], drugs: Mapping[int, Sequence[str]], share: float
) -> Mapping[Code, set[str]]:
    stays: Counter[Code] = Counter()
    times: dict[Code, Counter[str]] = defaultdict(Counter)
    for one in admissions:
        kind = category(one.diagnoses[0])
        stays[kind] += 1
        times[kind].update(set(drugs[one.admission]))
    return {kind: {drug for drug, n in times[kind].items() if n >= share * stays[kind]} for kind in stays}
