"""The names and descriptions of entities, for embedding."""

import functools
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kedrec.errors import KedrecError
from kedrec.sources.graph.entity_ids import is_entity
from kedrec.sources.graph.entity_names import EntityInfo, load_entity_info
from kedrec.storage.compressed_text import text_lines
from kedrec.text.excerpt import name_pattern

HEADER = ("entity", "description")


@dataclass(frozen=True, eq=False)
class EntityTexts:
    """Names and descriptions, one per entity, in the order of the entities; empty where there is none.

    Attributes:
        names: the preferred name.
        descriptions: prose; empty where it is masked.
        masked: the masked descriptions, empty elsewhere. They are embedded together with the others, so that one
            artefact of the store serves every share of an ablation, and are used for nothing else.
        counts: entities that are ``named`` and ``described`` after masking, ``name_only`` and ``neither`` of the two,
            ``masked``, and ``unknown``: those of the file of descriptions that the graph lacks.
    """

    names: list[str]
    descriptions: list[str]
    masked: list[str]
    counts: dict[str, int]


def entity_texts(
    entities: Sequence[str], entities_file: Path | None, descriptions: Path | None, masked: float, seed: int
) -> EntityTexts:
    """Return the texts of ``entities``.

    Args:
        entities: of the graph, by row.
        entities_file: names and human-written descriptions, as `load_entity_info` reads them.
        descriptions: further descriptions, as `load_descriptions` reads them; they take precedence.
        masked: share of the described entities, 0 to 1, whose description is masked. Their ids and the seed decide
            which; a larger share includes a smaller one.
        seed: of the masking.

    Raises:
        KedrecError: a file is malformed, the share is out of range, or no entity has a name or description.
    """
    if not 0 <= masked <= 1:
        raise KedrecError(f"data.init_args.anchors.masked: {masked}; expected a share, 0 to 1")
    infos = load_entity_info(entities_file) if entities_file else {}
    added = load_descriptions(descriptions) if descriptions else {}
    nothing = EntityInfo("", (), "")
    names = [infos.get(entity, nothing).name for entity in entities]
    # an empty answer of an LLM has no precedence
    whole = [added.get(entity) or infos.get(entity, nothing).description for entity in entities]
    if not any(names) and not any(whole):
        raise KedrecError(
            f"none of the graph's {len(entities)} entities, such as {entities[0]!r}, has a name or a description in "
            f"{entities_file or 'entities.tsv beside the graph'} or {descriptions or 'a file of descriptions'}; "
            "their ids must be those of the graph"
        )
    described = [entity for entity, text in zip(entities, whole, strict=True) if text]
    masked_entities = _masked(described, masked, seed)
    shown = ["" if entity in masked_entities else text for entity, text in zip(entities, whole, strict=True)]
    counts = {
        "named": sum(map(bool, names)),
        "described": sum(map(bool, shown)),
        "name_only": sum(bool(name) and not text for name, text in zip(names, shown, strict=True)),
        "neither": sum(not name and not text for name, text in zip(names, shown, strict=True)),
        "masked": len(masked_entities),
        "unknown": len(added.keys() - set(entities)),
    }
    masked_texts = [text if entity in masked_entities else "" for entity, text in zip(entities, whole, strict=True)]
    return EntityTexts(names, shown, masked_texts, counts)


def name_each_other(
    pairs: Iterable[tuple[int, int]], names: Sequence[str], descriptions: Sequence[str]
) -> NDArray[np.bool_]:
    """Return for each pair of entities whether the description of one names the other.

    Args:
        pairs: rows of entities.
        names: the preferred name of each entity, maybe empty.
        descriptions: of each entity, maybe empty.
    """
    lower = functools.cache(lambda entity: descriptions[entity].lower())

    def names_other(one: int, other: int) -> bool:
        name = names[other]
        # The text is searched for the letters first: to look for whole words takes a pattern for each name.
        return bool(name and name.lower() in lower(one) and name_pattern([name]).search(descriptions[one]))

    return np.array([names_other(one, other) or names_other(other, one) for one, other in pairs], dtype=bool)


def load_descriptions(path: str | Path) -> dict[str, str]:
    r"""Read descriptions: JSONL with the keys ``entity`` and ``description``, else a TSV with these as its header.

    Plain, .gz or .zst; further keys of a JSONL are ignored. A blank description counts as empty.

    Raises:
        KedrecError: a missing or damaged file, a malformed line, an entity that is not ``Type::id`` or is
            repeated; with the file and the line.
    """
    path = Path(path)
    description_of: dict[str, str] = {}
    plain = path.name.removesuffix(".gz").removesuffix(".zst")
    for line, entity, description in (_json_rows if plain.endswith(".jsonl") else _table_rows)(path):
        if not is_entity(entity):
            raise KedrecError(f"{path}:{line}: {entity!r} is not an entity; expected Type::id")
        if entity in description_of:
            raise KedrecError(f"{path}:{line}: {entity!r} is repeated; keep one description of each entity")
        description_of[entity] = description.strip()
    if not description_of:
        raise KedrecError(f"{path}: no descriptions in it; expected one line for each entity")
    return description_of


def _json_rows(path: Path) -> Iterator[tuple[int, str, str]]:
    for line, content in text_lines(path):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except json.JSONDecodeError as fault:
            raise KedrecError(f"{path}:{line}: not JSON ({fault}); expected one entity's description a line") from fault
        entity, description = (row.get(name) for name in HEADER) if isinstance(row, dict) else (None, None)
        if not isinstance(entity, str) or not isinstance(description, str):
            raise KedrecError(f"{path}:{line}: expected an object with the strings {HEADER}; found {content:.60}")
        yield line, entity, description


def _table_rows(path: Path) -> Iterator[tuple[int, str, str]]:
    for line, content in text_lines(path):
        fields = content.removesuffix("\r").split("\t")
        if line == 1:
            if tuple(fields) != HEADER:
                raise KedrecError(
                    f"{path}:1: the header must be {' '.join(HEADER)!r}, tab-separated; a JSONL must be named .jsonl"
                )
            continue
        if len(fields) != len(HEADER):
            raise KedrecError(f"{path}:{line}: {len(fields)} columns, expected {len(HEADER)} {HEADER}")
        entity, description = fields
        yield line, entity, description


def _masked(described: Collection[str], share: float, seed: int) -> set[str]:
    """Return the first of the shuffled entities, so that a larger share includes a smaller one."""

    def chance(entity: str) -> tuple[bytes, str]:
        return hashlib.blake2b(f"{seed}\x1fmask\x1f{entity}".encode(), digest_size=8).digest(), entity

    return set(sorted(described, key=chance)[: round(share * len(described))])
