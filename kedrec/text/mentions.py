"""Finds the passages that name an entity, by whole words, for tens of thousands of names at once."""

import re
from collections.abc import Iterable, Mapping, Sequence

from kedrec.text.passage import Passage

_WORD = re.compile(r"[^\W_]+")
_SHORTEST = 4  # letters; shorter names are mostly abbreviations that mean other things


def find_mentions(passages: Sequence[Passage], names: Mapping[str, Iterable[str]]) -> dict[str, set[int]]:
    """Return for each entity the rows of the passages that name it in title or text.

    Args:
        passages: which are searched.
        names: entity to its names; compared by words, ignoring case and punctuation. Names of fewer than four
            letters are left out.
    """
    known: dict[tuple[str, ...], list[str]] = {}
    for entity, spoken in names.items():
        for name in spoken:
            if len(name) >= _SHORTEST:
                known.setdefault(tuple(_WORD.findall(name.lower())), []).append(entity)
    known.pop((), None)
    widths: dict[str, list[int]] = {}
    for words in known:
        lengths = widths.setdefault(words[0], [])
        if len(words) not in lengths:
            lengths.append(len(words))
    rows: dict[str, set[int]] = {}
    for row, passage in enumerate(passages):
        text = _WORD.findall(passage.titled_text.lower())
        for start, word in enumerate(text):
            for width in widths.get(word, ()):
                for entity in known.get(tuple(text[start : start + width]), ()):
                    rows.setdefault(entity, set()).add(row)
    return rows
