"""Entity ids, ``Type::identifier`` as DRKG writes them: ``Compound::DB00945``, ``Disease::MESH:D003924``."""


def split_id(entity: str) -> tuple[str, str]:
    """Return the type and the identifier of an entity.

    >>> split_id("Disease::MESH:D003924")
    ('Disease', 'MESH:D003924')
    """
    kind, _, identifier = entity.partition("::")
    return kind, identifier


def entity_type(entity: str) -> str:
    """Return the type of an entity: ``Compound`` of ``Compound::DB00945``."""
    return split_id(entity)[0]


def local_id(entity: str) -> str:
    """Return the identifier of an entity within its type: ``DB00945`` of ``Compound::DB00945``."""
    return split_id(entity)[1]


def is_entity(text: str) -> bool:
    """Return whether ``text`` is ``Type::identifier`` with both parts; DRKG's one blank id, ``Gene::``, passes too."""
    kind, identifier = split_id(text)
    return bool(kind.strip() and identifier.strip()) or text == "Gene::"
