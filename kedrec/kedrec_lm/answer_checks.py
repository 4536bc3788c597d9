"""Checks of a teacher's answer against its prompt: it is accepted, or rejected with a reason."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kedrec.kedrec_lm.teacher_prompts import LETTERS, RationalePrompt
from kedrec.llm.requests import CUT, REFUSED, Answer
from kedrec.text.citations import before_stops, cited, supports, without_citations
from kedrec.text.sentences import sentences

# Reasons of rejection, as they are counted.
NO_ANSWER = "refused by the model or server"
FORM = "not of the form asked for"
WRONG = "wrong choice"
UNCITED = "cites nothing"
UNKNOWN = "cites what was not shown"
UNSUPPORTED = "cites a passage that says something else"

_BRACKETS = re.compile(r"\[[^\[\]]*\]")
_LETTER = re.compile(r"\b(?:[Tt]he )?(?:[Dd]rug|[Oo]ption) ([AB])\b")
_LABEL = re.compile(r"\[\s*(?:passages?|sources?|refs?\.?|no\.?|#)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Verdict:
    """The result of checking an answer.

    Attributes:
        rationale: with citations ``[passage id]``; empty where it was rejected.
        confidence: the model's own, 0 to 1.
        reason: why it was rejected, one of the constants of this module; empty where it was accepted.
        detail: the fault of this answer in words, which the prompt for its repair quotes.
    """

    rationale: str = ""
    confidence: float = 0.0
    reason: str = ""
    detail: str = ""

    @property
    def repairable(self) -> bool:
        """Whether the model may repair its answer: the fault is one of form, so that its message leaks no answer."""
        return self.reason in (FORM, UNKNOWN)


def judge(answer: Answer, prompt: RationalePrompt) -> Verdict:
    """Return the verdict on an answer.

    It is accepted if it has the form, chooses the relevant drug, cites at least one passage where some were shown,
    cites only shown passages, and if each citing sentence shares content with each passage it cites, see `supports`.
    """
    if answer.finish == REFUSED:
        return Verdict(reason=NO_ANSWER, detail=answer.text)
    content = first_object(answer.spoken)
    if content is None:
        cut = "; the answer was cut at its longest, be brief" if answer.finish == CUT else ""
        return Verdict(reason=FORM, detail=f"there is no JSON object in it{cut}")
    letter, rationale = _letter(content.get("choice"), prompt.drugs), content.get("rationale")
    sure = _number(content.get("confidence"))
    if letter is None:
        fault = f'"choice" must be "A" or "B", not {json.dumps(content.get("choice"))[:60]}'
    elif not isinstance(rationale, str) or not rationale.strip():
        fault = '"rationale" must be a paragraph of text'
    elif sure is None or not 0 <= sure <= 1:
        fault = f'"confidence" must be a number from 0 to 1, not {json.dumps(content.get("confidence"))[:30]}'
    elif letter != prompt.right:
        return Verdict(reason=WRONG, detail=f"chose {prompt.drugs[LETTERS.index(letter)]}", confidence=sure)
    else:
        return _check_citations(_tidy(rationale, prompt.drugs), prompt, sure)
    return Verdict(reason=FORM, detail=fault)


def first_object(text: str) -> dict[str, Any] | None:
    """Return the first JSON object in a text, fenced or between words; ``None`` without one."""
    decoder = json.JSONDecoder(strict=False)  # small models leave line breaks in strings
    start = text.find("{")
    while start >= 0:
        try:
            parsed, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, dict):
            return parsed
        start = text.find("{", start + 1)
    return None


def _check_citations(rationale: str, prompt: RationalePrompt, confidence: float) -> Verdict:
    numbers = cited(rationale)
    ids = {str(number): passage.id for number, passage in enumerate(prompt.shown, start=1)}
    if unknown := [number for number in numbers if number not in ids]:
        numbered = f"the passages are numbered 1 to {len(ids)}" if ids else "no passage was shown"
        return Verdict(reason=UNKNOWN, detail=f"it cites [{unknown[0]}], but {numbered}", confidence=confidence)
    if ids and not numbers:
        return Verdict(reason=UNCITED, detail="no passage is cited", confidence=confidence)
    names = " ".join((*prompt.drugs, prompt.disease))
    for sentence in sentences(rationale):
        for number in cited(sentence):
            if not supports(sentence, prompt.shown[int(number) - 1].sentences[0], names):
                detail = f"passage {number} ({ids[number]}) does not say: {without_citations(sentence)}"
                return Verdict(reason=UNSUPPORTED, detail=detail, confidence=confidence)
    return Verdict(rationale=_by_id(rationale, ids), confidence=confidence)


def _by_id(rationale: str, ids: dict[str, str]) -> str:
    """Return the rationale with ids in place of numbers, each once in a bracket."""

    def name(match: re.Match[str]) -> str:
        return f"[{'; '.join(dict.fromkeys(ids[number] for number in cited(match.group())))}]"

    return _BRACKETS.sub(name, rationale)


def _tidy(rationale: str, drugs: Sequence[str]) -> str:
    """Return one line that names the drugs, and in which a citation stands before the full stop of its sentence."""
    line = " ".join(rationale.encode("utf-8", "replace").decode().split())
    line = _LETTER.sub(lambda match: drugs[LETTERS.index(match.group(1))], line)
    line = _LABEL.sub("[", line)
    return before_stops(re.sub(r"\]\s*\[", "; ", line))


def _letter(choice: object, drugs: Sequence[str]) -> str | None:
    """Return A or B; a model may write the drug's name, or "A: name"."""
    if not isinstance(choice, str):
        return None
    written = choice.strip().strip(".").lower()
    for letter, drug in zip(LETTERS, drugs, strict=True):
        labels = (letter, f"drug {letter}", drug, f"{letter}: {drug}")
        if written in {label.lower() for label in labels}:
            return letter
    return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
