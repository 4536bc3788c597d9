"""From prescriptions, as a hospital writes them, to compounds of the graph and their ATC codes."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.mimic.admission_tables import Prescription
from kedrec.sources.graph.entity_ids import local_id
from kedrec.sources.graph.entity_names import EntityInfo

ATC_RELATION = "DRUGBANK::x-atc::Compound:Atc"
_WORD = re.compile(r"[a-z0-9]+")
_SHORTEST = 4  # letters of a single word; shorter ones are abbreviations
# American names that hospitals write and vocabularies built on international ones may lack.
_INTERNATIONAL = {
    "acyclovir": "aciclovir",
    "albuterol": "salbutamol",
    "aspirin": "acetylsalicylic acid",
    "cyclosporine": "ciclosporin",
    "epinephrine": "adrenaline",
    "glyburide": "glibenclamide",
    "isoproterenol": "isoprenaline",
    "levothyroxine sodium": "levothyroxine",
    "meperidine": "pethidine",
    "nitroglycerin": "glyceryl trinitrate",
    "norepinephrine": "noradrenaline",
    "phytonadione": "phylloquinone",
    "rifampin": "rifampicin",
    "senna": "sennosides",
    "sulfameth": "sulfamethoxazole",
    "torsemide": "torasemide",
    "vitamin k": "phylloquinone",
}


class Formulary:
    """The compounds that prescriptions mean.

    A name is read from its first word on, and the longest run of words that names a compound counts: what follows, a
    salt, a strength, a form, does not. A prescription whose names say nothing takes the compound that others of the
    same RxNorm concept have.

    Args:
        graph: its compounds, and their ATC codes by ``DRUGBANK::x-atc``.
        infos: names of entities.
        prescriptions: all that there are.
        rxcui: NDC -> RxNorm concept.
        atc: PubChem compound -> ATC codes, for compounds of the graph that are known by it.
    """

    def __init__(
        self,
        graph: KnowledgeGraph,
        infos: Mapping[str, EntityInfo],
        prescriptions: Iterable[Prescription],
        rxcui: Mapping[str, str] | None = None,
        atc: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._atc = _atc_codes(graph, atc or {})
        self._known = _names(graph, infos, self._atc)
        self._rxcui = rxcui or {}
        wanted = set(prescriptions)
        named = {one: self._named(one) for one in wanted}
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        for one, compound in named.items():
            if compound and (concept := self._rxcui.get(one.ndc)):
                votes[concept][compound] += 1
        # The smallest of the most voted: a tie must not be settled by the order of a set.
        self._by_concept = {
            concept: min(of, key=lambda compound: (-of[compound], compound)) for concept, of in votes.items()
        }
        self._compound = {one: compound or self._by_code(one) for one, compound in named.items()}

    def compound(self, prescription: Prescription) -> str | None:
        """Return the entity of the compound that a prescription, one of those given, means; ``None`` if unknown."""
        return self._compound[prescription]

    def atc(self, compound: str) -> tuple[str, ...]:
        """Return the ATC codes of a compound, of all levels that are known, sorted; most have several."""
        return self._atc.get(compound, ())

    def coverage(self, prescriptions: Iterable[Prescription]) -> str:
        """Return in words how many of the prescriptions, repeats counted, are known."""
        orders = list(prescriptions)
        compounds = [self._compound[one] for one in orders]
        known = [compound for compound in compounds if compound]
        return (
            f"{len(orders)} prescriptions: {len(known)} name a compound of the graph "
            f"({len(known) / max(1, len(orders)):.1%}), {sum(bool(self.atc(one)) for one in known)} of them with an "
            f"ATC code; {len(set(known))} compounds"
        )

    def unknown(self, prescriptions: Iterable[Prescription], most: int = 20) -> list[tuple[str, int]]:
        """Return the display names that are most often not understood, and how often."""
        missed = Counter(one.names[0] for one in prescriptions if one.names and not self._compound[one])
        return missed.most_common(most)

    def _named(self, prescription: Prescription) -> str | None:
        for name in prescription.names:
            words = tuple(_WORD.findall(name.lower()))
            for length in range(len(words), 0, -1):
                said = words[:length]
                if length == 1 and len(said[0]) < _SHORTEST:
                    break
                if found := self._known.get(said) or self._known.get(_international(said)):
                    return found
        return None

    def _by_code(self, prescription: Prescription) -> str | None:
        return self._by_concept.get(self._rxcui.get(prescription.ndc, ""))


def _international(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_WORD.findall(_INTERNATIONAL.get(" ".join(words), "")))


def _atc_codes(graph: KnowledgeGraph, by_pubchem: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    codes: dict[str, set[str]] = defaultdict(set)
    if ATC_RELATION in graph.relation_rows:
        for head, _, tail in graph.edges([ATC_RELATION]).tolist():
            codes[graph.entities[head]].add(local_id(graph.entities[tail]))
    for row in graph.of_type("Compound").tolist():
        entity = graph.entities[row]
        codes[entity].update(by_pubchem.get(entity.removeprefix("Compound::pubchem:"), ()))
    return {compound: tuple(sorted(its)) for compound, its in codes.items() if its}


def _names(
    graph: KnowledgeGraph, infos: Mapping[str, EntityInfo], atc: Mapping[str, tuple[str, ...]]
) -> dict[tuple[str, ...], str]:
    """Return words -> compound; of several with one name that with ATC codes, then the first by its id."""
    entities = sorted(
        (graph.entities[row] for row in graph.of_type("Compound").tolist()), key=lambda one: (one not in atc, one)
    )
    known: dict[tuple[str, ...], str] = {}
    for preferred in (True, False):
        for entity in entities:
            info = infos.get(entity)
            if info is None:
                continue
            for name in (info.name,) if preferred else info.synonyms:
                if words := tuple(_WORD.findall(name.lower())):
                    known.setdefault(words, entity)
    return known
