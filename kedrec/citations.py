"""Bracketed citations in a rationale: ``[3]`` of a passage shown, ``[SAMPLE-PMC-0001; ...]`` of a passage by id."""

import re
from collections.abc import Sequence

_BRACKET = re.compile(r"\s*\[([^\[\]]+)\]")


def cited(rationale: str) -> list[str]:
    """Return what is cited, in order: numbers or ids as written."""
    return [part.strip() for found in _BRACKET.findall(rationale) for part in re.split("[;,]", found) if part.strip()]


def without_citations(rationale: str) -> str:
    """Return the rationale without its brackets."""
    return _BRACKET.sub("", rationale)


def renumber(rationale: str, shown: Sequence[str]) -> str:
    """Turn citations of passage ids into numbers of the passages shown; those not shown are dropped.

    >>> renumber("It lowers glucose [P-2; P-9]. It is not a pump inhibitor [P-9].", ["P-1", "P-2"])
    'It lowers glucose [2]. It is not a pump inhibitor.'
    """
    numbers = {passage: number for number, passage in enumerate(shown, start=1)}

    def cite(match: re.Match[str]) -> str:
        return "".join(f" [{number}]" for number in sorted({numbers[i] for i in cited(match.group()) if i in numbers}))

    return _BRACKET.sub(cite, rationale)
