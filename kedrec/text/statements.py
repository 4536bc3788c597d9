"""Whether a text says outright that a drug treats a disease."""

import re
from collections.abc import Sequence

from kedrec.sentences import sentences
from kedrec.text.excerpt import name_pattern

_CUE = re.compile(
    r"\b(?:treat(?:s|ed|ing|ments?)?|therap(?:y|ies|eutic)|indicated|approved|first[- ]line|standard|effective(?:ly)?|"
    r"efficacy|efficacious|respon(?:d(?:s|ed)?|ses?)|improve[sd]?|improvements?|relie(?:f|ves?|ved)|reduc(?:es?|ed|tions?)|"
    r"controls?|prevent(?:s|ed|ion|ive)?|prophylaxis|manag(?:es?|ed|ement)|benefit(?:s|ed)?|cur(?:es?|ed)|"
    r"remission|heal(?:s|ed|ing)?|prescribed|recommended|used)\b",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\b(?:no|without|lack(?:s|ed|ing)?)\s+(?:\w+\s+){0,2}(?:benefit|effect|efficacy|improvement|role|evidence|response)|"
    r"\b(?:ineffective|contraindicated|inferior|useless)\b|\bnot\s+(?:\w+\s+){0,3}(?:effective|recommended|indicated|treat|"
    r"improve[sd]?|reduce[sd]?|help|respond|approved|used)\b|\b(?:failed|fails)\s+to\b|\bdoes\s+nothing\b",
    re.IGNORECASE,
)


def states_treatment(text: str, disease: Sequence[str], drug: Sequence[str]) -> bool:
    """Whether a sentence of the text names both and says, in so many words, that the one helps against the other.

    It goes by words of treatment (treats, therapy, indicated, effective, ...) beside both names, and by words that deny
    it (ineffective, no benefit, failed to, ...); it reads no further than a sentence.

    Args:
        text: a passage, or what is shown of it.
        disease: names that it goes by.
        drug: names that it goes by.
    """
    sick, remedy = name_pattern(disease), name_pattern(drug)
    return any(
        bool(sick.search(part) and remedy.search(part) and _CUE.search(part)) and not _DENIAL.search(part)
        for part in sentences(text)
    )
