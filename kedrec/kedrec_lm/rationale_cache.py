"""The rationales of many cases, whoever the teacher is: asked once, checked, and kept in the store."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.answer_checks import UNCITED
from kedrec.kedrec_lm.rationale_teachers import Case, ExtractiveTeacher, RecordedTeacher, Teacher
from kedrec.kedrec_lm.rationale_writing import KEPT, REJECTED, RationalePlan, plan_rationales, write_rationales
from kedrec.kedrec_lm.teacher_prompts import RationaleSettings
from kedrec.llm.answer_cache import answers_path, open_log
from kedrec.llm.language_model import Ask
from kedrec.llm.requests import Answer
from kedrec.storage.append_log import rows
from kedrec.storage.artifact_store import Store
from kedrec.storage.atomic_files import write_atomic
from kedrec.storage.jsonl import write_jsonl
from kedrec.text.citations import cited

_CHECKING = 1  # raise when answers are checked differently: those kept in stores are then judged anew
_KIND, _REPORT = "rationales", "report.json"


@dataclass(frozen=True)
class Explained:
    """What a teacher made of some cases.

    Attributes:
        teacher: gives the rationales that were kept.
        folder: holds ``rationales.jsonl``, and ``rejected.jsonl`` with reasons.
        facts: for a data card: the teacher, how many were asked, kept and repaired, and why others were rejected.
    """

    teacher: RecordedTeacher
    folder: Path
    facts: dict[str, Any]

    def kept(self, case: Case) -> bool:
        """Whether a case has a rationale."""
        return (case.disease, case.relevant, case.irrelevant) in self.teacher.answers

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows that were kept."""
        return [json.loads(line) for line in (self.folder / KEPT).read_text(encoding="utf-8").splitlines()]


def explain_cases(
    teacher: Teacher | Ask, cases: Sequence[Case], settings: RationaleSettings, max_cost: float | None, store: Store
) -> Explained:
    """Return the rationales of the cases that pass the checks.

    Args:
        teacher: `ExtractiveTeacher`, `RecordedTeacher`, or a model that is asked.
        cases: all of them distinct.
        settings: how a model is asked.
        max_cost: bound of what all answers of this model may cost together, US dollars.
        store: keeps the rationales, and beside them every answer of the model, so that none is paid twice.

    Raises:
        KedrecError: the model cannot be reached, or the budget is spent; answers so far are kept.
    """

    def build(folder: Path) -> None:
        if isinstance(teacher, ExtractiveTeacher | RecordedTeacher):
            report = _collect(teacher, cases, folder)
        else:
            assert _asks(teacher)
            with open_log(answers_path(teacher.name, store), max_cost) as log:
                made = write_rationales(teacher, cases, folder, log, settings)
            report = {"asked": made.asked, "kept": made.kept, "repaired": made.repaired, "rejected": made.reasons}
        write_atomic(folder / _REPORT, json.dumps(report))

    place = store.get(_KIND, _key(teacher, cases, settings), build)
    report = json.loads((place / _REPORT).read_text(encoding="utf-8"))
    return Explained(RecordedTeacher(place / KEPT), place, {"teacher": teacher_name(teacher), **report})


def plan_cases(
    teacher: Teacher | Ask, cases: Sequence[Case], settings: RationaleSettings, store: Store
) -> RationalePlan | None:
    """Return what a model would be asked, and ``None`` for a teacher that is no model; writes nothing."""
    if not _asks(teacher):
        return None
    if store.holds(_KIND, _key(teacher, cases, settings)):
        return RationalePlan()
    return plan_rationales(teacher, cases, settings, _kept_answers(answers_path(teacher.name, store)))


def teacher_name(teacher: Teacher | Ask) -> str:
    """Return what a data card calls the teacher."""
    if isinstance(teacher, RecordedTeacher):
        content = json.dumps(sorted((*key, text) for key, text in teacher.answers.items()))
        return f"RecordedTeacher {hashlib.sha256(content.encode()).hexdigest()[:12]}"
    return teacher.name if _asks(teacher) else type(teacher).__name__


def _key(teacher: Teacher | Ask, cases: Sequence[Case], settings: RationaleSettings) -> dict[str, Any]:
    """Return what the rationales depend on."""
    key = {"teacher": teacher_name(teacher), "cases": _cases_hash(cases), "checking": _CHECKING}
    return key | ({"settings": asdict(settings)} if _asks(teacher) else {})


def _kept_answers(path: Path) -> dict[str, Answer]:
    """Return the answers in a log by their keys, touching nothing."""
    found = (row for _, row in rows(path) if {"key", "text"} <= row.keys())
    return {
        row["key"]: Answer(row["text"], row["prompt_tokens"], row["completion_tokens"], row["finish"]) for row in found
    }


def _asks(teacher: Teacher | Ask) -> TypeGuard[Ask]:
    return hasattr(teacher, "ask")


def _collect(teacher: Teacher, cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """Write what a teacher that is no model says; one that cites nothing though it had passages is rejected."""
    kept: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    for case in cases:
        row = {"disease": case.disease, "relevant": case.relevant, "irrelevant": case.irrelevant}
        try:
            said = teacher.explain(case)
        except KedrecError as fault:
            rejected.append({**row, "reason": "no recorded rationale", "detail": str(fault), "text": ""})
            continue
        if case.evidence and not cited(said):
            rejected.append({**row, "reason": UNCITED, "detail": "no passage names the drug", "text": said})
        else:
            kept.append({**row, "rationale": said, "confidence": 1.0, "teacher": type(teacher).__name__})
    write_jsonl(folder / KEPT, kept)
    write_jsonl(folder / REJECTED, rejected)
    reasons = Counter(row["reason"] for row in rejected)
    return {"asked": len(cases), "kept": len(kept), "repaired": 0, "rejected": reasons}


def _cases_hash(cases: Sequence[Case]) -> str:
    content = hashlib.sha256()
    for case in cases:
        evidence = [(passage.id, passage.sentences) for passage in case.evidence]
        names = sorted((entity, list(names)) for entity, names in case.names.items())
        content.update(json.dumps([case.disease, case.relevant, case.irrelevant, names, evidence]).encode())
    return content.hexdigest()
