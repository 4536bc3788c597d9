"""The part of a passage that a prompt shows: the sentences that name the disease or the drugs, in their order."""

import re
from collections.abc import Sequence
from itertools import pairwise

from kedrec.text.sentences import sentences


def name_pattern(names: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern of whole words that finds any of the names, ignoring case."""
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(re.escape(name) for name in longest_first) + r")(?!\w)", re.IGNORECASE)


def excerpt(text: str, patterns: Sequence[re.Pattern[str]], words: int) -> str:
    """Return the sentences of ``text`` that match, of together at most ``words`` words, but at least one sentence.

    Those that match more of the ``patterns`` are taken first, earlier ones before later ones; sentences left
    out between two others are marked by an ellipsis. Where nothing matches it is the first sentence.
    """
    parts = sentences(text)
    matches = [sum(bool(pattern.search(part)) for pattern in patterns) for part in parts]
    ranked = sorted((at for at, count in enumerate(matches) if count), key=lambda at: (-matches[at], at)) or [0]
    chosen: list[int] = []
    room = words
    for at in ranked:
        length = len(parts[at].split())
        if not chosen or length <= room:
            chosen.append(at)
            room -= length
    chosen.sort()
    joined = [parts[chosen[0]]]
    for before, at in pairwise(chosen):
        joined.append(parts[at] if at == before + 1 else f"... {parts[at]}")
    return " ".join(joined)
