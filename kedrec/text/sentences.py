"""Cuts prose into sentences."""

import re

_PARAGRAPH = re.compile(r"\n\s*\n")
# A sentence may end after a mark, closing quotes or brackets, and a space before what can start the next one.
_END = re.compile(r"(?<=[.!?])([\"'”’)\]]*)\s+(?=[\"'“‘(\[]*[A-Z0-9À-ÞΑ-Ω<≥≤])")  # noqa: RUF001  (quotes and Greek are meant)
_ABBREVIATIONS = frozenset(
    re.findall(
        r"\S+",
        "e.g i.e cf vs dr prof mr mrs st fig figs eq eqs ref refs nos vol pp approx ca resp al viz spp sp subsp var "
        "incl excl u.s u.k d.c inc ltd co dept jan feb mar apr jun jul aug sep sept oct nov dec",
    )
)


def sentences(text: str) -> list[str]:
    """Return the sentences of ``text`` in order; abbreviations, initials, decimals and species names end none."""
    parts: list[str] = []
    for paragraph in _PARAGRAPH.split(text):
        line = " ".join(paragraph.split())
        start = 0
        for end in _END.finditer(line):
            if not _abbreviated(line[start : end.start()]):
                parts.append(line[start : end.end(1)])
                start = end.end()
        if start < len(line):
            parts.append(line[start:])
    return parts


def _abbreviated(before: str) -> bool:
    """Whether the full stop at the end of ``before`` belongs to its last word: ``vs.``, ``e.g.``, an initial."""
    if before[-1] != ".":
        return False
    if before[:-1].isdigit():  # the number of a list's item
        return True
    word = before[:-1].rsplit(" ", 1)[-1].lstrip("([\"'“‘")  # noqa: RUF001
    if len(word) == 1:  # an initial; but "vitamin C." and "group 2." end a sentence as often as not
        return word.isupper() and word not in "CDI"
    return word.lower() in _ABBREVIATIONS
