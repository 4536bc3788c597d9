"""A teacher's rationales on many cases: asked, checked, and written with those that were rejected."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kedrec.store import write_atomic
from kedrec.teacher.answers import AnswerLog
from kedrec.teacher.ask import Answer, Request
from kedrec.teacher.asking import answer_all
from kedrec.teacher.checks import Verdict, judge
from kedrec.teacher.model import Ask
from kedrec.teacher.prompts import RationaleSettings, rationale_prompt, repair
from kedrec.teacher.rationales import Case

KEPT = "rationales.jsonl"
REJECTED = "rejected.jsonl"
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}


@dataclass(frozen=True)
class Report:
    """What became of the cases, for the data card.

    Attributes:
        asked: cases.
        kept: those with a rationale.
        repaired: those of the kept whose first answer could not be used.
        reasons: how many were rejected for which reason.
    """

    asked: int
    kept: int
    repaired: int
    reasons: Counter[str] = field(default_factory=Counter)


def requests_for(cases: Sequence[Case], settings: RationaleSettings) -> list[Request]:
    """Return the questions about the cases, for `kedrec.teacher.asking.plan`; second tries come on top."""
    return [rationale_prompt(case, settings).request for case in cases]


def write_rationales(
    model: Ask, cases: Sequence[Case], folder: Path, log: AnswerLog, settings: RationaleSettings
) -> Report:
    """Ask about each case and write ``rationales.jsonl``, which `RecordedTeacher` reads, and ``rejected.jsonl``.

    An answer that is not of the form, or cites what was not shown, is asked for once more, with what was wrong. The
    same answers give the same bytes.

    Args:
        model: the teacher.
        cases: of which each has its line in one of the two files, in this order.
        folder: where the two files appear, whole.
        log: keeps the answers.
        settings: how it is asked.

    Raises:
        KedrecError: from `answer_all`, or the folder cannot be written.
    """
    prompts = [rationale_prompt(case, settings) for case in cases]
    requests = [prompt.request for prompt in prompts]
    answers = answer_all(model, requests, log)
    verdicts = [judge(answer, prompt) for answer, prompt in zip(answers, prompts, strict=True)]
    again = [place for place, verdict in enumerate(verdicts) if verdict.repairable]
    for place in again:
        requests[place] = repair(requests[place], answers[place].spoken, verdicts[place].detail)
    for place, answer in zip(again, answer_all(model, [requests[place] for place in again], log), strict=True):
        answers[place] = answer
        verdicts[place] = judge(answer, prompts[place])
    kept: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    for case, request, answer, verdict in zip(cases, requests, answers, verdicts, strict=True):
        row = _row(case, verdict, model.name, request.key(model.name))
        (rejected if verdict.reason else kept).append(_rejected(row, verdict, answer) if verdict.reason else row)
    write_jsonl(folder / KEPT, kept)
    write_jsonl(folder / REJECTED, rejected)
    return Report(
        asked=len(cases),
        kept=len(kept),
        repaired=sum(not verdicts[place].reason for place in again),
        reasons=Counter(verdict.reason for verdict in verdicts if verdict.reason),
    )


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one object a line, also for readers that split at Unicode's line ends; the file is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False).translate(_LINE_ENDS) for row in rows)
    write_atomic(path, "".join(line + "\n" for line in lines))


def _row(case: Case, verdict: Verdict, teacher: str, key: str) -> dict[str, Any]:
    return {
        "disease": case.disease,
        "relevant": case.relevant,
        "irrelevant": case.irrelevant,
        "rationale": verdict.rationale,
        "confidence": verdict.confidence,
        "teacher": teacher,
        "answer": key,
    }


def _rejected(row: dict[str, Any], verdict: Verdict, answer: Answer) -> dict[str, Any]:
    said = {"reason": verdict.reason, "detail": verdict.detail, "text": answer.text}
    return {name: value for name, value in row.items() if name != "rationale"} | said
