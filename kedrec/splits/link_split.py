"""Which triples a link predictor trains on and which it is asked: therapeutic pairs, and diseases never treated."""

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.links import edge_keys, linked_pairs
from kedrec.graph.therapeutic import THERAPEUTIC, stated_edges
from kedrec.splits.manifest import Manifest
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import Split, seeded_order, split_items

log = logging.getLogger(__name__)

HOMES = ("train", "validation", "pairs", "diseases", "dropped")
_HOMES_OF: dict[Split, str] = {"validation": "validation", "test": "pairs"}


@dataclass(frozen=True, eq=False)
class LinkSplit:
    """Which triples are trained on and which are asked; rows are those of the graph's vocabularies.

    Attributes:
        train: ``(n, 3)`` rows of head, relation, tail.
        validation: ``(v, 3)``, maybe none.
        tests: name of the test set ("pairs", "diseases" or "test") -> ``(t, 3)``.
        dropped: triples that are in no part, since they would give an answer away: other relations between the two
            ends of an asked triple (``hold_out``), or asked triples that are in an earlier file too (``load_split``).
        kept: for each entity the row of the one that stands for its namesakes; ``None`` where each stands for itself.
    """

    train: npt.NDArray[np.int32]
    validation: npt.NDArray[np.int32]
    tests: dict[str, npt.NDArray[np.int32]]
    dropped: int
    kept: npt.NDArray[np.int32] | None = None

    @functools.cached_property
    def unseen_entities(self) -> int:
        """How many test triples have an end that is in no training triple: the graph alone cannot rank them."""
        tested = np.concatenate([*self.tests.values()])[:, ::2]
        seen = np.zeros(max(self.train[:, ::2].max(initial=0), tested.max(initial=0)) + 1, dtype=np.bool_)
        seen[self.train[:, ::2]] = True
        return int((~seen[tested]).any(axis=1).sum())

    @functools.cached_property
    def leaking(self) -> int:
        """How many training triples link the ends of a test triple, or namesakes, by any relation or direction."""
        return int(np.isin(self._ends(self.train), self._ends(np.concatenate([*self.tests.values()]))).sum())

    def _ends(self, triples: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Return one number for the two ends of each triple, ``(n,)``, whichever is the head."""
        ends = triples[:, ::2] if self.kept is None else self.kept[triples[:, ::2]]
        low, high = np.sort(ends.astype(np.int64), axis=1).T
        both: npt.NDArray[np.int64] = low << 32 | high
        return both

    def __str__(self) -> str:
        tests = ", ".join(f"{len(triples)} {name}" for name, triples in self.tests.items())
        return (
            f"{len(self.train)} training triples, {len(self.validation)} validation, test: {tests}; {self.dropped} are "
            f"dropped; {self.unseen_entities} test triples have an end that training lacks, {self.leaking} training "
            "triples link the ends of a test triple"
        )


def hold_out(
    graph: KnowledgeGraph,
    relations: Sequence[str],
    *,
    validation: float,
    test: float,
    unseen_diseases: int,
    seed: int,
    leaking: Literal["drop", "keep"] = "drop",
    kept: npt.NDArray[np.int32] | None = None,
) -> LinkSplit:
    """Hold out therapeutic triples of whole (compound, disease) pairs, and all those of some diseases.

    A pair's therapeutic triples share one part, whatever relation states them and in whichever direction. Names and
    seed alone decide, not the order of the graph; each part has the graph's order. Diseases and pairs are shuffled as
    ``sample_pairs`` does it: under one seed, the first that it tests are the ones that are held out here. The graph
    keeps every triple, so that filtered ranking knows all true answers.

    Args:
        graph: where the triples come from.
        relations: the therapeutic ones, by full name or beginning (``DRUGBANK::treats``); some of ``THERAPEUTIC`` may
            lack.
        validation: share of the pairs of all other diseases.
        test: likewise, for ``tests["pairs"]``; 0 for no such set.
        unseen_diseases: how many of the diseases with a pair have all their therapeutic triples in
            ``tests["diseases"]``; 0 for no such set.
        seed: of the experiment.
        kept: for each entity the row of the one that stands for its namesakes: what is treated under one id is then
            no question under the other.
        leaking: what becomes of training triples that link a held-out pair by another relation, such as DRKG's
            ``GNBR::Pa`` (alleviates) and ``GNBR::Pr`` (prevents).

    Raises:
        KedrecError: unknown relations or ones that link no compound to a disease, no test set, impossible shares, or
            too few diseases or pairs.
    """
    if test == 0 and unseen_diseases == 0:
        raise KedrecError("test and unseen_diseases are both 0, so that nothing is left to ask; set one of them above")
    therapeutic, linked = _therapeutic(graph, relations), linked_pairs(graph, kept)
    pairs = np.unique(linked[therapeutic & (linked >= 0)])
    if not len(pairs):
        names = graph.match_relations(relations, optional=THERAPEUTIC)
        raise KedrecError(f"no triple of {', '.join(names)} links a compound to a disease; name therapeutic relations")
    homes = _homes(graph, pairs, validation=validation, test=test, unseen_diseases=unseen_diseases, seed=seed)
    at = np.minimum(np.searchsorted(pairs, linked), len(pairs) - 1)
    home = np.where(pairs[at] == linked, homes[at], HOMES.index("train"))
    tests = [name for name, asked in (("pairs", test), ("diseases", unseen_diseases)) if asked]
    return _parted(graph, home, therapeutic, tests, leaking, kept)


def hold_out_pairs(
    graph: KnowledgeGraph, relations: Sequence[str], pairs: Sequence[Pair], kept: npt.NDArray[np.int32]
) -> LinkSplit:
    """Hold out what a student's pairs ask: the treatments of its validation and, as ``tests["pairs"]``, of its test.

    Of a disease that no training pair asks about, all treatments are held out. Whatever else links the ends of a
    treatment that is held out is dropped.

    Args:
        graph: where the triples come from.
        relations: the therapeutic ones, as in ``hold_out``.
        pairs: of a student, as ``by_kept_ids`` returns them.
        kept: for each entity the row of the one that stands for its namesakes, under which the pairs name it.

    Raises:
        KedrecError: unknown relations, or the graph has none of the treatments that the test asks about.
    """
    therapeutic, linked = _therapeutic(graph, relations), linked_pairs(graph, kept)
    disease = np.maximum(linked, 0) % len(graph.entities)
    row_of = graph.entity_rows
    trained = {pair.disease for pair in pairs if pair.split == "train"}
    home = np.full(len(graph.triples), HOMES.index("train"))
    for split, name in _HOMES_OF.items():
        asked = [one for one in pairs if one.split == split and one.disease in row_of and one.relevant in row_of]
        keys = edge_keys(graph, [(one.relevant, one.disease) for one in asked])
        whole = [row_of[one.disease] for one in asked if one.disease not in trained]
        held = np.isin(linked, keys) | np.isin(disease, whole)
        home[held & (linked >= 0)] = HOMES.index(name)
    if not (therapeutic & (home == HOMES.index("pairs"))).any():
        raise KedrecError(f"the graph states none of the treatments that the {len(pairs)} pairs' test asks about")
    return _parted(graph, home, therapeutic, ["pairs"], "drop", kept)


def hold_out_manifest(
    graph: KnowledgeGraph, relations: Sequence[str], manifest: Manifest, kept: npt.NDArray[np.int32]
) -> LinkSplit:
    """Hold out a manifest's treatments: those of validation and, as ``tests["pairs"]``, of the test.

    Whatever else links the ends of a treatment that is held out is dropped.

    Args:
        graph: where the triples come from.
        relations: the therapeutic ones, as in ``hold_out``.
        manifest: of this graph.
        kept: for each entity the row of the one that stands for its namesakes, under which the manifest names it.

    Raises:
        KedrecError: unknown relations, or the graph states none of the test's treatments by them.
    """
    therapeutic, linked = _therapeutic(graph, relations), linked_pairs(graph, kept)
    home = np.full(len(graph.triples), HOMES.index("train"))
    for split, name in _HOMES_OF.items():
        home[np.isin(linked, edge_keys(graph, manifest.of(split)))] = HOMES.index(name)
    if not (therapeutic & (home == HOMES.index("pairs"))).any():
        names = graph.match_relations(relations, optional=THERAPEUTIC)
        raise KedrecError(f"{', '.join(names)}: the graph states none of the split's test treatments by them")
    return _parted(graph, home, therapeutic, ["pairs"], "drop", kept)


def manifest_of(
    split: LinkSplit, merged: KnowledgeGraph, relations: Sequence[str], by: str, seed: int | None, names: str | None
) -> Manifest:
    """Return the manifest of what a split of triples holds out.

    Args:
        split: of the graph before merging.
        merged: the graph with namesakes merged.
        relations: therapeutic ones, beside those of ``THERAPEUTIC``.
        by: what was split, in words.
        seed: of the split.
        names: SHA-256 of the file of the entities' names.
    """
    homes: dict[tuple[str, str], Split] = {}
    parts: dict[Split, list[npt.NDArray[np.int32]]] = {
        "validation": [split.validation],
        "test": [*split.tests.values()],
    }
    for name, triples in parts.items():
        ends = np.concatenate(triples)[:, ::2]
        for one, other in (ends if split.kept is None else split.kept[ends]).tolist():
            drug, disease = sorted((merged.entities[one], merged.entities[other]))
            homes[drug, disease] = name
    stated = stated_edges(merged, merged.match_relations([*relations, *THERAPEUTIC], optional=THERAPEUTIC))
    split_of: dict[tuple[str, str], Split] = {edge: homes.get(edge, "train") for edge in stated}
    return Manifest(by, seed, merged.source_hash, names, None, split_of)


def _therapeutic(graph: KnowledgeGraph, relations: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which triples, ``(n,)``, are of relations that state a treatment."""
    names = graph.match_relations(relations, optional=THERAPEUTIC)
    return np.isin(graph.triples[:, 1], [graph.relation_rows[name] for name in names])


def _parted(
    graph: KnowledgeGraph,
    home: npt.NDArray[np.int64],
    therapeutic: npt.NDArray[np.bool_],
    tests: Sequence[str],
    leaking: Literal["drop", "keep"],
    kept: npt.NDArray[np.int32] | None,
) -> LinkSplit:
    """Return the split in which each triple is at ``home``, a place in ``HOMES``, but others than therapeutic leak."""
    leaks = (home != HOMES.index("train")) & ~therapeutic
    home[leaks] = HOMES.index("dropped" if leaking == "drop" else "train")
    parts = {name: graph.triples[home == row] for row, name in enumerate(HOMES)}
    held = {name: parts[name] for name in tests}
    split = LinkSplit(parts["train"], parts["validation"], held, len(parts["dropped"]), kept)
    log.info("%s", split)
    return split


def _homes(
    graph: KnowledgeGraph,
    pairs: npt.NDArray[np.int64],
    *,
    validation: float,
    test: float,
    unseen_diseases: int,
    seed: int,
) -> npt.NDArray[np.int64]:
    """Return the place in ``HOMES`` of each pair, ``(pairs,)``."""
    named = [
        (graph.entities[pair // len(graph.entities)], graph.entities[pair % len(graph.entities)]) for pair in pairs
    ]
    diseases = seeded_order((disease for _, disease in named), seed, "split")
    if not 0 <= unseen_diseases < len(diseases):
        raise KedrecError(
            f"unseen_diseases is {unseen_diseases}, but the graph has {len(diseases)} diseases with a therapeutic "
            f"pair; expected 0 to {len(diseases) - 1}, so that some are left for training"
        )
    unseen = set(diseases[:unseen_diseases])
    others = ("\t".join(pair) for pair in named if pair[1] not in unseen)
    homes = {"train": "train", "validation": "validation", "test": "pairs"}
    home_of = {name: homes[split] for name, split in split_items(others, validation, test, seed).items()}
    return np.array([HOMES.index(home_of.get("\t".join(pair), "diseases")) for pair in named])
