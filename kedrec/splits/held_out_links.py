"""What a link predictor is kept from: the treatments that its split holds out, in triples, noise and descriptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.named_graph import spoken_names
from kedrec.graph.synonyms import canonical_rows, merge_synonyms
from kedrec.graph.therapeutic import THERAPEUTIC, stated_edges
from kedrec.sources.graph.entity_names import EntityInfo
from kedrec.splits.link_split import LinkSplit, hold_out, hold_out_manifest, hold_out_pairs, manifest_of
from kedrec.splits.manifest import Manifest
from kedrec.splits.pairs import Pair, load_pairs
from kedrec.splits.split_consistency import by_kept_ids, check_pairs, manifest_of_pairs
from kedrec.text.mentions import find_mentions
from kedrec.text.passage import Passage
from kedrec.text.sentences import sentences


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A split of a graph's triples, and what it obeys.

    Attributes:
        links: the split.
        manifest: of its treatments, by the ids that stand for their namesakes.
        choices: pairs of the test whose choice is scored too.
    """

    links: LinkSplit
    manifest: Manifest
    choices: Sequence[Pair]


def held_out(
    graph: KnowledgeGraph,
    infos: Mapping[str, EntityInfo],
    names_hash: str | None,
    relations: Sequence[str],
    *,
    validation: float,
    test: float,
    unseen_diseases: int,
    pairs: str | None,
    split: str | None,
    seed: int,
) -> HeldOut:
    """Hold out what a manifest's file says, else what a student's pairs ask, else shares; namesakes are one.

    Args:
        graph: as it was read.
        infos: names of its entities.
        names_hash: SHA-256 of their file.
        relations: therapeutic ones.
        validation: share, as in ``hold_out``.
        test: likewise.
        unseen_diseases: likewise.
        pairs: a student's Parquet.
        split: a manifest's TSV; what pairs ask has to obey it.
        seed: of the split.

    Raises:
        KedrecError: a file is damaged or of another graph, or as ``hold_out``.
    """
    kept = canonical_rows(graph, lambda entity: spoken_names(entity, infos.get(entity)), ("Compound", "Disease"))
    merged = merge_synonyms(graph, kept)
    stated = stated_edges(merged, merged.match_relations([*relations, *THERAPEUTIC], optional=THERAPEUTIC))
    given = load_pairs(pairs) if pairs else []
    choices = [pair for pair in given if pair.split == "test"]
    keeper: dict[str, str] = dict(zip(graph.entities, (graph.entities[row] for row in kept.tolist()), strict=True))

    def stands_for(entity: str) -> str:
        return keeper.get(entity, entity)

    asked = by_kept_ids(given, stands_for)
    if split is not None:
        manifest = Manifest.load(split)
        manifest.check(split, graph.source_hash, names_hash, stated, stands_for)
        check_pairs(asked, manifest, str(pairs))
        return HeldOut(hold_out_manifest(graph, relations, manifest, kept), manifest, choices)
    if asked:
        manifest = manifest_of_pairs(asked, stated, graph.source_hash, names_hash)
        return HeldOut(hold_out_pairs(graph, relations, asked, kept), manifest, choices)
    links = hold_out(
        graph, relations, validation=validation, test=test, unseen_diseases=unseen_diseases, seed=seed, kept=kept
    )
    by = f"pair, and all treatments of {unseen_diseases} diseases"
    return HeldOut(links, manifest_of(links, merged, relations, by, seed, names_hash), choices)


def without_telling(
    descriptions: Sequence[str], entities: Sequence[str], infos: Mapping[str, EntityInfo], hidden: HeldOut
) -> list[str]:
    """Return the descriptions without the sentences that tell of a treatment that is held out.

    Such are those that name the other side of it in the description of one side, and both sides in that of a third.

    Args:
        descriptions: one an entity, maybe empty.
        entities: of the graph, by row.
        infos: their names; those of fewer than four letters are not looked for.
        hidden: what is held out.
    """
    others: dict[str, set[str]] = {}
    for drug, disease in hidden.manifest.of("validation", "test"):
        others.setdefault(drug, set()).add(disease)
        others.setdefault(disease, set()).add(drug)
    kept = hidden.links.kept
    keeper = entities if kept is None else [entities[row] for row in kept.tolist()]
    names: dict[str, list[str]] = {}
    for entity, one in zip(entities, keeper, strict=True):
        if one in others:
            names.setdefault(one, []).extend(spoken_names(entity, infos.get(entity)))
    parts = [(row, part) for row, text in enumerate(descriptions) if text for part in sentences(text)]
    told: dict[int, set[str]] = {}  # what each sentence is about: whom it names, and whom the description is of
    for one, places in find_mentions([Passage("", "", "", "", part) for _, part in parts], names).items():
        for at in places:
            told.setdefault(at, {keeper[parts[at][0]]}).add(one)
    telling = {at for at, about in told.items() if any(others.get(one, set()) & about for one in about)}
    silent: dict[int, list[str]] = {parts[at][0]: [] for at in telling}
    for at, (row, part) in enumerate(parts):
        if row in silent and at not in telling:
            silent[row].append(part)
    return [" ".join(silent[row]) if row in silent else text for row, text in enumerate(descriptions)]
