"""Whether a text states that a drug treats a disease."""

import re
from collections.abc import Sequence

from kedrec.text.sentences import sentences
from kedrec.text.spelling import ABBREVIATED, spelt

_HELPS = (
    r"(?:treat(?:s|ed|ing|ments?)?|therap(?:y|ies|eutic)|indicated|approved|first[- ]line|standard|effective(?:ly)?|"
    r"efficacy|efficacious|respon(?:d(?:s|ed)?|ses?)|improve[sd]?|improvements?|relie(?:f|ves?|ved)|reduc(?:es?|ed|tions?)|"
    r"controls?|prevent(?:s|ed|ion|ive)?|prophylaxis|manag(?:es?|ed|ement)|benefit(?:s|ed)?|beneficial|cur(?:es?|ed)|"
    r"remission|heal(?:s|ed|ing)?|prescribed|recommended|used|use of|help(?:s|ed|ful)?|allevia(?:tes?|ted|tion)|"
    r"ameliorat(?:es?|ed|ion)|attenuat(?:es?|ed)|suppress(?:es|ed)?|decreas(?:es?|ed)|lower(?:s|ed)|slow(?:s|ed)|"
    r"recover(?:s|ed|y)|prolong(?:s|ed)|superior|successful(?:ly)?|mainstay|drug of choice|(?:active|works?) against)"
)
_CUE = re.compile(rf"\b{_HELPS}\b", re.IGNORECASE)
_NOT = r"(?:\bnot|n['’]t|\bcannot|\bnever|\bneither|\bnor|\bhardly|\bunlikely)"  # noqa: RUF001  (the quote is meant)
_DENIAL = re.compile(
    rf"{_NOT}\s+(?!only\b|just\b|cured\b|healed\b)(?:\w+\s+){{0,3}}?{_HELPS}\b|{_NOT}\s*(?:[.;:!?)]|$)|"
    # No benefit; but no side effects, not without effect, and where surgery has not cured, are no denials.
    r"(?<!not )\b(?:no|without|lack(?:s|ed|ing)?)\s+(?:(?!side\b|adverse\b|serious\b|toxic\b)\w+\s+){0,2}"
    r"(?:benefit|effect|efficacy|improvement|role|evidence|response)|\bno\s+(?:better|more\s+effective)\b|"
    r"\b(?:ineffective|contraindicated|inferior|useless)\b|\b(?:failed|fails)\s+to\b|\b(?:treatment|therapy)\s+failed\b|"
    r"\b(?:be|is|are|was|were|been)\s+avoided\b|\bwithdrawn\s+from\b|\bdoes\s+nothing\b",
    re.IGNORECASE,
)
_CLAUSES = re.compile(r"[;,]\s+|\s+(?:whereas|while|but|although)\s+")


def states_treatment(text: str, disease: Sequence[str], drug: Sequence[str], other: Sequence[str] = ()) -> bool:
    """Whether a sentence of the text names both and states that the drug treats the disease.

    It is decided by words of treatment (treats, therapy, indicated, effective, ...) beside both names, and by words
    that negate it (ineffective, no benefit, cannot, failed to, ...). Each sentence is read alone, without clauses on
    the other drug only.

    Args:
        text: a passage, or an excerpt of it.
        disease: its names.
        drug: its names.
        other: names of the drug with which it is compared, if any.
    """
    sick, remedy, rival = (spelt(names, ABBREVIATED) for names in (disease, drug, other))
    for sentence in sentences(text):
        parts = [part for part in _CLAUSES.split(sentence) if remedy.search(part) or not rival.search(part)]
        part = ", ".join(parts)
        if sick.search(part) and remedy.search(part) and _CUE.search(part) and not _DENIAL.search(part):
            return True
    return False
