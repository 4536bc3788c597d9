"""The types of many entities as numbers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kedrec.sources.graph.entity_ids import entity_type


def type_codes(entities: Sequence[str]) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Return the sorted types, ``(types,)``, and for each entity the row of its type, ``(entities,)``."""
    types, codes = np.unique([entity_type(entity) for entity in entities], return_inverse=True)
    return types, codes.astype(np.int64)
