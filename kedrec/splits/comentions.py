"""Which texts name a drug and a disease together, by any name of either and of those that share one with it."""

from collections.abc import Collection, Mapping, Sequence

from kedrec.graph.links import Edge
from kedrec.graph.named_graph import NamedGraph
from kedrec.sources.text.dates import earliest
from kedrec.text.mentions import find_mentions
from kedrec.text.passage import Passage


class Comentions:
    """Looks up texts that name both ends of a (drug, disease), each given by its canonical id.

    A name of fewer than four letters, such as MS, is not searched for: it mostly means other things.

    Args:
        named: the graph with its entities' names.
        passages: the passages that are searched.
        mentions: entity id to the rows of ``passages`` that name it, as ``find_mentions`` returns it.
    """

    def __init__(
        self, named: NamedGraph, passages: Sequence[Passage] = (), mentions: Mapping[str, set[int]] | None = None
    ) -> None:
        self.named = named
        self.all_passages = passages
        self.mentions = mentions or {}

    def passages(self, drug: str, disease: str) -> list[Passage]:
        """Return the passages, of any source, that name both in title or text."""
        rows = self._rows(drug) & self._rows(disease)
        return [self.all_passages[row] for row in sorted(rows)]

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
            end: [name for one in self.named.synonymous_ids(end) for name in self.named.names(one)]
            for end in set().union(*edges)
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
        return {row for one in self.named.synonymous_ids(entity) for row in self.mentions.get(one, ())}
