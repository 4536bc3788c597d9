"""Finds the entity that a person means by what they type: an id, a name or a synonym, as people write them."""

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
_POSSESSIVE = re.compile(r"['\u2018\u2019\u201b\u2032\u02bc\u02b9\u00b4`]s?\b")  # the ways to write an apostrophe
_SHOWN = 80  # letters of the typed text that an error repeats
_LISTED = 10  # candidates that an error lists
_ALIKE = 0.35  # least trigram similarity of a name that an error suggests


class Lookup:
    """Finds entities of one type by id, name or synonym; synonymous ids count as one entity.

    Args:
        graph: whose entities they are.
        names: the names of an entity, the preferred one first.
        rows: ``(entities,)`` row of each entity's canonical id, as ``canonical_rows`` returns them.
        kind: type, ``Disease``.
    """

    def __init__(
        self, graph: KnowledgeGraph, names: Callable[[str], Sequence[str]], rows: NDArray[np.int32], kind: str
    ) -> None:
        self.graph = graph
        self.names = names
        self.kind = kind
        self._groups: dict[str, list[str]] = {}
        for row in graph.of_type(kind).tolist():
            self._groups.setdefault(graph.entities[rows[row]], []).append(graph.entities[row])

    @cached_property
    def _named(self) -> list[tuple[str, tuple[str, ...], bool]]:
        """Canonical id, the words of a name of it or of a synonymous id, and whether that name is preferred."""
        return [
            (canonical, _words(name), position == 0)
            for canonical, ids in self._groups.items()
            for one in ids
            for position, name in enumerate(self.names(one))
        ]

    def find(self, text: str) -> list[str]:
        """Return the id that a text means and its synonymous ids, the canonical one first.

        Ids may lack their type (``MESH:D000544``) and the name of their vocabulary (``D000544``). Names are compared
        by their words, ignoring case, accents, order, punctuation, and a possessive or plural s. Of several that match,
        those with the words in the typed order take precedence, and among these a preferred name over a synonym.

        Raises:
            KedrecError: several entities match, or none; lists them, or the nearest, with ids and numbers of edges.
        """
        matches = self.matching(text)
        if len(matches) == 1:
            return [matches[0], *(one for one in self._groups[matches[0]] if one != matches[0])]
        what = self.kind.lower()
        near = [] if matches else self._nearest(text)
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        if matches:
            raise KedrecError(f"{shown!r} may mean any of these; give an id:\n{self._listed(matches)}")
        remedy = (
            f"; the nearest:\n{self._listed(near)}" if near else f"; expected a name or an id such as {self._example()}"
        )
        raise KedrecError(f"no {what} of the graph is called {shown!r}{remedy}")

    def matching(self, text: str) -> list[str]:
        """Return the canonical ids of all entities that match best."""
        by_id = [canonical for canonical, ids in self._groups.items() if any(_is_id(text, one) for one in ids)]
        typed = _words(text)
        if by_id or not typed:
            return by_id
        alike = [
            (canonical, words == typed, preferred)
            for canonical, words, preferred in self._named
            if len(words) == len(typed) and sorted(words) == sorted(typed)
        ]
        # Words in the typed order before any other order, and among these preferred names before synonyms.
        best = max(((in_order, preferred) for _, in_order, preferred in alike), default=None)
        return list(dict.fromkeys(canonical for canonical, *how in alike if tuple(how) == best))

    def _keys(self, canonical: str) -> set[tuple[str, ...]]:
        return {_key(name) for one in self._groups[canonical] for name in self.names(one)}

    def _nearest(self, text: str) -> list[str]:
        """Return the entities whose names have all the words, else those with similar trigrams; best first."""
        words, letters = set(_key(text)), _trigrams(text)
        degree = self._degrees()
        ranked = []
        for canonical in self._groups:
            keys = self._keys(canonical)
            if words and any(words <= set(key) for key in keys):
                likeness = 2.0  # before all that are merely similar
            else:
                likeness = max(_likeness(letters, _trigrams(" ".join(key))) for key in keys)
            if likeness >= _ALIKE:
                ranked.append((-likeness, -degree[canonical], canonical))
        return [canonical for _, _, canonical in sorted(ranked)]

    def _degrees(self) -> dict[str, int]:
        """Return the number of edges of each canonical id, those of its synonymous ids included."""
        counts = np.bincount(self.graph.triples[:, ::2].ravel(), minlength=len(self.graph.entities))
        rows = self.graph.entity_rows
        return {canonical: sum(int(counts[rows[one]]) for one in ids) for canonical, ids in self._groups.items()}

    def _listed(self, candidates: Sequence[str]) -> str:
        degree = self._degrees()
        lines = [f"  {one}  {self.names(one)[0]} ({degree[one]:,} edges)" for one in candidates[:_LISTED]]
        more = len(candidates) - _LISTED
        return "\n".join([*lines, f"  and {more:,} more"] if more > 0 else lines)

    def _example(self) -> str:
        return next(iter(self._groups), f"{self.kind}::ID")


def _is_id(text: str, entity: str) -> bool:
    """Return whether a text is an entity's id: in full, without its type, or without its vocabulary's name too."""
    text, entity = text.strip().casefold(), entity.casefold()
    local = local_id(entity)
    return text in (entity, local) or (":" in local and text == local.rpartition(":")[2] and not text.isdigit())


def _plain(name: str) -> str:
    """Return a name without case and accents: Ménière, composed or decomposed, becomes meniere."""
    if name.isascii():
        return name.casefold()
    apart = unicodedata.normalize(
        "NFKD", name.replace("\u00b4", "'").casefold()
    )  # NFKD would make a space of that accent
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def _key(name: str) -> tuple[str, ...]:
    """Return the words of a name, sorted."""
    return tuple(sorted(_words(name)))


def _words(name: str) -> tuple[str, ...]:
    """Return the words of a name without possessive and plural s."""
    words = _WORD.findall(_POSSESSIVE.sub("", _plain(name)))
    return tuple(word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] != "s" else word for word in words)


def _trigrams(name: str) -> set[str]:
    text = f"  {' '.join(_key(name))} "
    return {text[at : at + 3] for at in range(len(text) - 2)}


def _likeness(one: set[str], other: set[str]) -> float:
    """Return the share of common trigrams, 0 to 1 (Jaccard)."""
    return len(one & other) / len(one | other)
