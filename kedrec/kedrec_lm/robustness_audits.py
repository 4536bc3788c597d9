"""Test questions asked again with the evidence or the names changed: what a student's choice rests on."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kedrec.kedrec_lm.chat_encoding import Shown
from kedrec.kedrec_lm.question_batches import Question
from kedrec.text.spelling import spelt, which, words_of
from kedrec.text.statements import states_treatment

Audit = Literal["without_flagged", "closed_book", "exchanged", "blinded"]
AUDITS: tuple[Audit, ...] = ("without_flagged", "closed_book", "exchanged", "blinded")
"""What can be asked of each test question beside the question itself; "validation" marks what calibrates."""

_SHORTEST = 3  # characters of a name that is replaced in running text; shorter ones are words of other meanings too
_CODES = 900  # of aliases, from 100 on

Asked = tuple[Question, list[Shown]]


@dataclass(frozen=True)
class Names:
    """What a question's disease and drugs go by.

    Attributes:
        disease: its names.
        drugs: the names of each drug, in the question's order, each beginning with the one that the question uses.
    """

    disease: tuple[str, ...]
    drugs: tuple[tuple[str, ...], tuple[str, ...]]


def asked_again(audit: Audit, question: Question, shown: Sequence[Shown], names: Names) -> Asked | None:
    """Return a question as an audit puts it; ``None`` where that would be the question itself.

    ``without_flagged`` leaves out the passages that state the answer, and as many of the other drug's, of the same
    sources, so that no drug is told by its silence. ``closed_book`` leaves out all. ``exchanged`` gives each drug the
    other's passages, with the drugs' names in them exchanged: who reads will choose the other drug. ``blinded`` calls
    the drugs by numbers that mean nothing, in question and passages: who remembers has nothing to go by.
    """
    marked = replace(question, audit=audit, controls={})
    if audit == "blinded":
        return _blinded(marked, shown, names)
    if not shown:
        return None
    if audit == "closed_book":
        return marked, []
    if audit == "exchanged":
        return marked, _exchanged(question, shown, names)
    kept = _without_flagged(question, shown, names)
    return None if len(kept) == len(shown) else (marked, kept)


def flagged(question: Question, shown: Sequence[Shown], names: Names) -> list[str]:
    """Return the ids of the passages that state the answer of a question, in what is shown of them."""
    right, wrong = names.drugs[question.correct], names.drugs[1 - question.correct]
    return [passage.id for passage in shown if states_treatment(passage.text, names.disease, right, wrong)]


def _without_flagged(question: Question, shown: Sequence[Shown], names: Names) -> list[Shown]:
    telling = set(flagged(question, shown, names))
    affected = {passage.source for passage in shown if passage.id in telling}
    rest = [passage for passage in shown if passage.id not in telling]
    counts = Counter((passage.source, passage.drug) for passage in rest)
    room = Counter({(source, drug): min(counts[source, one] for one in question.drugs) for source, drug in counts})
    kept = []
    for passage in rest:
        room[passage.source, passage.drug] -= 1
        if passage.source not in affected or room[passage.source, passage.drug] >= 0:
            kept.append(passage)
    return kept


def _exchanged(question: Question, shown: Sequence[Shown], names: Names) -> list[Shown]:
    first, second = question.drugs
    other = {first: second, second: first}
    rename = _Renaming(names, (second, first))
    return [replace(passage, drug=other[passage.drug], text=rename(passage.text)) for passage in shown]


def _blinded(question: Question, shown: Sequence[Shown], names: Names) -> Asked:
    first, second = _aliases(question)
    alias = dict(zip(question.drugs, (first, second), strict=True))
    rename = _Renaming(names, (first, second))
    hidden = [replace(passage, drug=alias[passage.drug], text=rename(passage.text)) for passage in shown]
    return replace(question, drugs=(first, second)), hidden


def _aliases(question: Question) -> tuple[str, str]:
    """Return an alias a drug, the same in both orders, that tells nothing of it."""
    numbers = [int(hashlib.sha256(f"{question.pair}\t{drug}".encode()).hexdigest(), 16) for drug in question.drugs]
    one, other = (100 + number % _CODES for number in numbers)
    if one == other:
        low = sorted(question.drugs).index(question.drugs[0])
        one, other = one + low, other + 1 - low
    return f"Drug-{one}", f"Drug-{other}"


class _Renaming:
    """Writes other names in place of two drugs' own, both at once; names that they share stay, and the disease's.

    Args:
        names: of a question, to be found however they are spelt.
        written: in place of any name of the first drug, and of the second.
    """

    def __init__(self, names: Names, written: tuple[str, str]) -> None:
        first, second = ({words_of(name): name for name in of if len(name) >= _SHORTEST} for of in names.drugs)
        self._own = [
            *((name, written[0]) for words, name in first.items() if words not in second),
            *((name, written[1]) for words, name in second.items() if words not in first),
        ]
        # A disease that is called after a drug, such as iron deficiency, keeps its name as it does in the question.
        kept = [name for name in names.disease if words_of(name) not in {*first, *second}]
        self._pattern = spelt([*(name for name, _ in self._own), *kept])

    def __call__(self, text: str) -> str:
        return self._pattern.sub(self._instead, text)

    def _instead(self, match: re.Match[str]) -> str:
        place = which(match)
        return self._own[place][1] if place < len(self._own) else match.group()
