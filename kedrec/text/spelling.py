"""Names as texts spell them: with a space for a hyphen, or in the plural."""

import re
from collections.abc import Sequence

ABBREVIATED = 4
"""Characters; most shorter names are abbreviations, which are a word of prose where their case is another."""
_WORD = re.compile(r"[^\W_]+")
_APART = r"[\W_]{1,3}"  # what stands between two words of a name: "beta-1a", "beta 1a", "beta (1a"
_ENDING = r"(?:e?s|i[sz]ed|i[sz]ation)?"  # statins, heparinised


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in one case, by which two spellings of it are the same.

    >>> words_of("Interferon beta-1a") == words_of("interferon beta 1A")
    True
    """
    return tuple(_WORD.findall(name.casefold()))


def spelt(names: Sequence[str], cased: int = 0) -> re.Pattern[str]:
    """Return a pattern of whole words that finds any of the names however it is spelt, ignoring case.

    Where several names match, the longest is matched; `which` returns it. A name without a letter or digit never
    matches.

    Args:
        names: which are searched for.
        cased: names of fewer characters than this match in their own case only: AS does not match "as".
    """
    longest_first = sorted(range(len(names)), key=lambda at: -len(names[at]))
    parts = [f"(?P<n{at}>{_source(names[at], cased)})" for at in longest_first if words_of(names[at])]
    return re.compile(rf"(?<!\w)(?:{'|'.join(parts) or '(?!)'}){_ENDING}(?!\w)", re.IGNORECASE)


def which(match: re.Match[str]) -> int:
    """Return the index, among its names, of the name that a pattern of `spelt` matched."""
    assert match.lastgroup is not None
    return int(match.lastgroup[1:])


def _source(name: str, cased: int) -> str:
    source = _APART.join(map(re.escape, _WORD.findall(name)))
    return f"(?-i:{source})" if len(name) < cased else source
