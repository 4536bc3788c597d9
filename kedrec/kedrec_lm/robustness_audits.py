"""Robustness audits: counterfactual test questions, which show what evidence a student's choice depends on."""

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

Audit = Literal["without_stated_answers", "closed_book", "passages_exchanged", "names_masked"]
AUDITS: tuple[Audit, ...] = ("without_stated_answers", "closed_book", "passages_exchanged", "names_masked")
"""The counterfactual forms of a test question. A further audit name, "validation", marks calibration questions."""

_SHORTEST = 3  # characters of a name that is replaced in running text; shorter names have other meanings too
_CODES = 900  # of aliases, from 100 on

QuestionForm = tuple[Question, list[Shown]]
"""A question and the passages that it shows."""


@dataclass(frozen=True)
class Names:
    """The names of a question's disease and drugs.

    Attributes:
        disease: names of the disease.
        drugs: names of each drug, in the question's order; first the name that the question uses.
    """

    disease: tuple[str, ...]
    drugs: tuple[tuple[str, ...], tuple[str, ...]]


def counterfactual_question(
    audit: Audit, question: Question, shown: Sequence[Shown], names: Names
) -> QuestionForm | None:
    """Return the counterfactual form of a question; ``None`` where it would be the question itself.

    ``without_stated_answers`` removes the passages that state the answer, and as many of the other drug, of the same
    sources, so that neither drug can be recognised by a lack of passages. ``closed_book`` removes all passages.
    ``passages_exchanged`` gives each drug the other's passages, with the drugs' names in them exchanged: a student that
    relies on the passages chooses the other drug. ``names_masked`` replaces the drugs' names by numbers without
    meaning, in question and passages: a student that relies on parametric knowledge cannot use it.

    Args:
        audit: which form.
        question: the test question.
        shown: the passages that it shows.
        names: of its disease and drugs.
    """
    marked = replace(question, audit=audit, heuristics={})
    if audit == "names_masked":
        return _with_names_masked(marked, shown, names)
    if not shown:
        return None
    if audit == "closed_book":
        return marked, []
    if audit == "passages_exchanged":
        return marked, _with_passages_exchanged(question, shown, names)
    rest = _without_stated_answers(question, shown, names)
    return None if len(rest) == len(shown) else (marked, rest)


def answer_stating_passages(question: Question, shown: Sequence[Shown], names: Names) -> list[str]:
    """Return the ids of the passages whose shown text states the answer of a question."""
    right, wrong = names.drugs[question.correct], names.drugs[1 - question.correct]
    return [passage.id for passage in shown if states_treatment(passage.text, names.disease, right, wrong)]


def _without_stated_answers(question: Question, shown: Sequence[Shown], names: Names) -> list[Shown]:
    leaking = set(answer_stating_passages(question, shown, names))
    affected = {passage.source for passage in shown if passage.id in leaking}
    rest = [passage for passage in shown if passage.id not in leaking]
    counts = Counter((passage.source, passage.drug) for passage in rest)
    room = Counter({(source, drug): min(counts[source, one] for one in question.drugs) for source, drug in counts})
    balanced = []
    for passage in rest:
        room[passage.source, passage.drug] -= 1
        if passage.source not in affected or room[passage.source, passage.drug] >= 0:
            balanced.append(passage)
    return balanced


def _with_passages_exchanged(question: Question, shown: Sequence[Shown], names: Names) -> list[Shown]:
    first, second = question.drugs
    other = {first: second, second: first}
    rename = _Renaming(names, (second, first))
    return [replace(passage, drug=other[passage.drug], text=rename(passage.text)) for passage in shown]


def _with_names_masked(question: Question, shown: Sequence[Shown], names: Names) -> QuestionForm:
    first, second = _aliases(question)
    alias = dict(zip(question.drugs, (first, second), strict=True))
    rename = _Renaming(names, (first, second))
    hidden = [replace(passage, drug=alias[passage.drug], text=rename(passage.text)) for passage in shown]
    return replace(question, drugs=(first, second)), hidden


def _aliases(question: Question) -> tuple[str, str]:
    """Return an alias for each drug, the same in both orders, that carries no information on it."""
    numbers = [int(hashlib.sha256(f"{question.pair}\t{drug}".encode()).hexdigest(), 16) for drug in question.drugs]
    one, other = (100 + number % _CODES for number in numbers)
    if one == other:
        low = sorted(question.drugs).index(question.drugs[0])
        one, other = one + low, other + 1 - low
    return f"Drug-{one}", f"Drug-{other}"


class _Renaming:
    """Replaces the names of two drugs, both at once; names that they share, and those of the disease, stay.

    Args:
        names: of a question, in any spelling.
        written: replaces any name of the first drug, and of the second.
    """

    def __init__(self, names: Names, written: tuple[str, str]) -> None:
        first, second = ({words_of(name): name for name in of if len(name) >= _SHORTEST} for of in names.drugs)
        self._own = [
            *((name, written[0]) for words, name in first.items() if words not in second),
            *((name, written[1]) for words, name in second.items() if words not in first),
        ]
        # A disease that is named after a drug, such as iron deficiency, keeps its name, as it does in the question.
        disease = [name for name in names.disease if words_of(name) not in {*first, *second}]
        self._pattern = spelt([*(name for name, _ in self._own), *disease])

    def __call__(self, text: str) -> str:
        return self._pattern.sub(self._instead, text)

    def _instead(self, match: re.Match[str]) -> str:
        index = which(match)
        return self._own[index][1] if index < len(self._own) else match.group()
