"""Passages that name a drug and a disease together, by any name of either and of their synonymous ids."""

from collections.abc import Mapping, Sequence

from kedrec.graph.named_graph import NamedGraph
from kedrec.sources.text.dates import earliest
from kedrec.text.passage import Passage


class Comentions:
    """Finds the passages that name both ends of a (drug, disease), each given by its canonical id.

    A name of fewer than four letters, such as MS, is not searched for: it mostly means other things.

    Args:
        named: the graph with its entities' names.
        passages: the passages that are searched.
        mentions: entity id to the rows of ``passages`` that name it, as ``find_mentions`` returns it.
    """

    def __init__(self, named: NamedGraph, passages: Sequence[Passage], mentions: Mapping[str, set[int]]) -> None:
        self.named = named
        self.all_passages = passages
        self.mentions = mentions

    def passages(self, drug: str, disease: str) -> list[Passage]:
        """Return the passages, of any source, that name both in title or text."""
        rows = self._rows(drug) & self._rows(disease)
        return [self.all_passages[row] for row in sorted(rows)]

    def date(self, drug: str, disease: str) -> str:
        """Return the date of the earliest passage that names both; ``''`` where none with a date does."""
        return earliest([passage.date for passage in self.passages(drug, disease)])

    def _rows(self, entity: str) -> set[int]:
        return {row for one in self.named.synonymous_ids(entity) for row in self.mentions.get(one, ())}
