"""From what a person types to the entity that is meant: an id, a name or a synonym, as people write them."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.sources.graph.entity_ids import local_id

_WORD = re.compile(r"[^\W_]+")
_POSSESSIVE = re.compile(r"['\u2018\u2019\u201b\u2032\u02bc\u02b9\u00b4`]s?\b")  # all that is written for '
_SHOWN = 80  # letters of what was asked for that an error repeats
_LISTED = 10  # candidates that an error names
_ALIKE = 0.35  # of the trigrams of two names, from which on one may be meant for the other


class Lookup:
    """Finds entities of one type by id, name or synonym; those that share a name count as one.

    Args:
        graph: whose entities they are.
        names: the names of an entity, the preferred one first.
        kept: for each entity, ``(entities,)``, the row of the one that stands for its namesakes, as ``kept_rows`` says.
        kind: type, ``Disease``.
    """

    def __init__(
        self, graph: KnowledgeGraph, names: Callable[[str], Sequence[str]], kept: NDArray[np.int32], kind: str
    ) -> None:
        self.graph = graph
        self.names = names
        self.kind = kind
        self._groups: dict[str, list[str]] = {}
        for row in graph.of_type(kind).tolist():
            self._groups.setdefault(graph.entities[kept[row]], []).append(graph.entities[row])

    @cached_property
    def _called(self) -> list[tuple[str, tuple[str, ...], bool]]:
        """The one that stands for its namesakes, the words of a name of one of them, and whether it is preferred."""
        return [
            (keeper, _words(name), place == 0)
            for keeper, ids in self._groups.items()
            for one in ids
            for place, name in enumerate(self.names(one))
        ]

    def find(self, asked: str) -> list[str]:
        """Return the ids that are meant, namesakes of one another; the one that stands for them first.

        Ids may lack their type (``MESH:D000544``) and the name of their vocabulary (``D000544``). Names are compared
        by their words, whatever their case, accents, order and punctuation; a possessive or a plural s tells nothing
        apart. Of several that the words fit, those with the words in the order asked for win, and of these a preferred
        name over a synonym.

        Raises:
            KedrecError: several are meant, or none; lists them, or the nearest, with ids and numbers of edges.
        """
        found = self.matching(asked)
        if len(found) == 1:
            return [found[0], *(one for one in self._groups[found[0]] if one != found[0])]
        what = self.kind.lower()
        near = [] if found else self._nearest(asked)
        asked = asked if len(asked) <= _SHOWN else f"{asked[:_SHOWN]}…"
        if found:
            raise KedrecError(f"{asked!r} may be any of these; give an id:\n{self._listed(found)}")
        told = (
            f"; the nearest:\n{self._listed(near)}" if near else f"; expected a name or an id such as {self._example()}"
        )
        raise KedrecError(f"no {what} of the graph is called {asked!r}{told}")

    def matching(self, asked: str) -> list[str]:
        """Return those that may be meant, of namesakes the one that stands for them."""
        by_id = [keeper for keeper, ids in self._groups.items() if any(_is_id(asked, one) for one in ids)]
        wanted = _words(asked)
        if by_id or not wanted:
            return by_id
        alike = [
            (keeper, words == wanted, preferred)
            for keeper, words, preferred in self._called
            if len(words) == len(wanted) and sorted(words) == sorted(wanted)
        ]
        # In the order asked for before any other, and of these preferred names before synonyms.
        best = max(((in_order, preferred) for _, in_order, preferred in alike), default=None)
        return list(dict.fromkeys(keeper for keeper, *how in alike if tuple(how) == best))

    def _keys(self, keeper: str) -> set[tuple[str, ...]]:
        return {_key(name) for one in self._groups[keeper] for name in self.names(one)}

    def _nearest(self, asked: str) -> list[str]:
        """Return those that have all the words, else those that share trigrams; best first."""
        words, letters = set(_key(asked)), _trigrams(asked)
        degree = self._degrees()
        ranked = []
        for keeper in self._groups:
            keys = self._keys(keeper)
            if words and any(words <= set(key) for key in keys):
                likeness = 2.0  # before all that are merely alike
            else:
                likeness = max(_likeness(letters, _trigrams(" ".join(key))) for key in keys)
            if likeness >= _ALIKE:
                ranked.append((-likeness, -degree[keeper], keeper))
        return [keeper for _, _, keeper in sorted(ranked)]

    def _degrees(self) -> dict[str, int]:
        """Return the edges of each, those of its namesakes included."""
        counts = np.bincount(self.graph.triples[:, ::2].ravel(), minlength=len(self.graph.entities))
        rows = self.graph.entity_rows
        return {keeper: sum(int(counts[rows[one]]) for one in ids) for keeper, ids in self._groups.items()}

    def _listed(self, keepers: Sequence[str]) -> str:
        degree = self._degrees()
        lines = [f"  {one}  {self.names(one)[0]} ({degree[one]:,} edges)" for one in keepers[:_LISTED]]
        more = len(keepers) - _LISTED
        return "\n".join([*lines, f"  and {more:,} more"] if more > 0 else lines)

    def _example(self) -> str:
        return next(iter(self._groups), f"{self.kind}::ID")


def _is_id(asked: str, entity: str) -> bool:
    """Whether ``asked`` is an entity's id, in full, without its type, or without its vocabulary's name too."""
    asked, entity = asked.strip().casefold(), entity.casefold()
    local = local_id(entity)
    return asked in (entity, local) or (":" in local and asked == local.rpartition(":")[2] and not asked.isdigit())


def _plain(name: str) -> str:
    """Return a name without case, accents and forms of letters: as well Meniere as Ménière, in one code or in two."""
    if name.isascii():
        return name.casefold()
    apart = unicodedata.normalize("NFKD", name.replace("\u00b4", "'").casefold())  # else a space comes of that accent
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def _key(name: str) -> tuple[str, ...]:
    """Return the words of a name, sorted."""
    return tuple(sorted(_words(name)))


def _words(name: str) -> tuple[str, ...]:
    """Return the words of a name without what does not tell names apart."""
    words = _WORD.findall(_POSSESSIVE.sub("", _plain(name)))
    return tuple(word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] != "s" else word for word in words)


def _trigrams(name: str) -> set[str]:
    text = f"  {' '.join(_key(name))} "
    return {text[at : at + 3] for at in range(len(text) - 2)}


def _likeness(one: set[str], other: set[str]) -> float:
    """Return the share of common trigrams, 0 to 1 (Jaccard)."""
    return len(one & other) / len(one | other)
