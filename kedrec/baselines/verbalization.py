"""Entities and relations as words, for models that read or write them."""

from collections import Counter
from collections.abc import Sequence


def distinct_names(names: Sequence[str], entities: Sequence[str]) -> list[str]:
    """Return the names; a name that several entities share is followed by the ``Type::id`` in brackets.

    Args:
        names: the preferred name of each entity.
        entities: ``Type::id`` of each, all different.
    """
    common = Counter(names)
    return [
        name if common[name] == 1 or name == entity else f"{name} ({entity})"
        for name, entity in zip(names, entities, strict=True)
    ]


def readable_relations(relations: Sequence[str]) -> list[str]:
    """Return relations such as ``DRUGBANK::treats::Compound:Disease`` as words, unless two have equal words."""
    spoken = [" ".join(relation.replace(":", " ").replace("_", " ").split()) for relation in relations]
    common = Counter(spoken)
    return [words if common[words] == 1 else relation for words, relation in zip(spoken, relations, strict=True)]
