"""The one exception that a user can cause; everything else is a bug and shows its trace."""

import difflib
from collections.abc import Iterable


class KedrecError(Exception):
    """A fault in the input or the machine: says what, where, what was expected and what to do, in one message."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the known word nearest to ``word``, or an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {match[0]!r}?" if match else ""
