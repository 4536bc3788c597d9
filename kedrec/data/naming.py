"""Which texts name a drug and a disease together, by any name of either and of those that share one with it."""

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np

from kedrec.data.evidence import Library
from kedrec.graph.negatives import Edge
from kedrec.sources.dates import earliest
from kedrec.text.mentions import find_mentions
from kedrec.text.passages import Passage


class Naming:
    """Looks up texts by (drug, disease), each by the id that stands for its namesakes.

    A name of fewer than four letters, such as MS, is not looked for: it mostly means other things.

    Args:
        library: has the names and the passages.
    """

    def __init__(self, library: Library) -> None:
        self.library = library

    def passages(self, drug: str, disease: str) -> list[Passage]:
        """Return the passages, of any source, that name both in title or text."""
        rows = self._rows(drug) & self._rows(disease)
        return [self.library.passages[row] for row in sorted(rows)]

    def date(self, drug: str, disease: str) -> str:
        """Return the date of the earliest passage that names both; ``''`` where none with a date does."""
        return earliest([passage.date for passage in self.passages(drug, disease)])

    def texts(self, texts: Sequence[str], edges: Collection[Edge], about: Sequence[Collection[str]]) -> set[int]:
        """Return the rows of those of ``texts`` that name an end of one of the edges and name, or are about, the other.

        Args:
            texts: what is searched.
            edges: (drug, disease), by the ids that stand for their namesakes.
            about: of each text the ids, likewise, of what it is about without having to name it.
        """
        names = {
            end: [name for one in self._members(end) for name in self.library.names(one)] for end in set().union(*edges)
        }
        found = find_mentions([Passage("", "", "", "", text) for text in texts], names)
        named: list[set[str]] = [set() for _ in texts]
        for end, rows in found.items():
            for row in rows:
                named[row].add(end)
        others: dict[str, set[str]] = {}
        for drug, disease in edges:
            others.setdefault(drug, set()).add(disease)
            others.setdefault(disease, set()).add(drug)
        return {
            row
            for row, (ends, subjects) in enumerate(zip(named, about, strict=True))
            if any(others[end] & (ends | set(subjects)) for end in ends)
        }

    def _rows(self, entity: str) -> set[int]:
        return {row for one in self._members(entity) for row in self.library.mentions.get(one, ())}

    def _members(self, entity: str) -> Sequence[str]:
        return self._namesakes.get(entity, (entity,))

    @cached_property
    def _namesakes(self) -> dict[str, list[str]]:
        """The ids that an id stands for, itself among them, where these are several."""
        kept, entities = self.library.kept_rows, self.library.graph.entities
        found: dict[str, list[str]] = {}
        for row in np.flatnonzero(kept != np.arange(len(kept))).tolist():
            keeper = entities[kept[row]]
            found.setdefault(keeper, [keeper]).append(entities[row])
        return found
