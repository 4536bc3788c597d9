"""The rows of a graph's tables: entities, relations, and the vectors that entities are anchored in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Side = Literal["head", "tail"]


@dataclass(frozen=True, eq=False)
class Modality:
    """One vector per entity: of its name, its description, its structure, or anything else.

    Attributes:
        name: such as ``name``, ``description``, ``fingerprint``.
        vectors: (entities, dim); zero rows where there is none.
        known: (entities,), whether the entity has a vector of this modality.
    """

    name: str
    vectors: NDArray[np.float32]
    known: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The entities and relations of a graph's tables, and the vectors that entities are anchored in.

    Attributes:
        entities: row -> ``Type::id``.
        relations: row -> relation.
        names: row -> name of the entity; its id where it has none.
        anchors: modalities, each with one vector per entity.
        held_out: (n, 3) rows of the triples of validation and test.
        descriptions: row -> prose, empty where there is none; no rows where descriptions were not read.
    """

    entities: list[str]
    relations: list[str]
    names: list[str]
    anchors: list[Modality]
    held_out: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 3), dtype=np.int32))
    descriptions: list[str] = field(default_factory=list)
