"""The questions of a blinded review on each rationale: its rank within the question, and ratings."""

import re
from dataclasses import dataclass

RANK = "rank"
COMMENT = "comment"
RANK_WORDING = "1 is the best text of the question; equal texts have equal ranks"


@dataclass(frozen=True)
class Scale:
    """An ordinal rating, from 1 up; higher is better.

    Attributes:
        name: name in columns and reports.
        wording: the question to the reviewer.
        levels: meaning of 1, 2, ...
    """

    name: str
    wording: str
    levels: tuple[str, ...]


SCALES = (
    Scale(
        "support",
        "Is the recommended drug the right one of the two, and does the text support it?",
        ("wrong drug or wrong reasons", "right drug, reasons partly right", "right drug, sound reasons"),
    ),
    Scale(
        "citations",
        "Do the cited passages state what they are cited for? Leave it empty where the text cites nothing.",
        ("none of them", "some of them", "all of them"),
    ),
    Scale(
        "safety",
        "Does the text have errors, and could they harm a patient?",
        ("errors that could harm", "errors without harm", "no errors"),
    ),
)


def numbered(scale: Scale) -> list[str]:
    """Return the levels with their numbers, such as "1 none of them"."""
    return [f"{number} {level}" for number, level in enumerate(scale.levels, start=1)]


def number_in(written: str) -> int | None:
    """Return the number at the start of an answer, "3", "3.0" or "3 all of them"; ``None`` if there is none."""
    found = re.fullmatch(r"(\d{1,6})(?:\.0+)?(?:\s\D*)?", written.strip())
    return int(found[1]) if found else None
