"""The rationales of many cases: written by a teacher once, checked, and kept in the store."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedrec.kedrec_lm.rationale_cases import Case
from kedrec.kedrec_lm.rationale_teachers import ACCEPTED, RecordedTeacher, Teacher
from kedrec.runtime.preparation_plan import Stage
from kedrec.storage.artifact_store import Store
from kedrec.storage.atomic_files import write_atomic

_CHECKS_VERSION = 1  # increase it with a change of `judge`: stored answers of models are then checked again
_KIND, _REPORT = "rationales", "report.json"


@dataclass(frozen=True)
class Explained:
    """The rationales that a teacher has written for some cases.

    Attributes:
        teacher: has the accepted rationales on record.
        folder: holds ``rationales.jsonl``, and ``rejected.jsonl`` with reasons.
        facts: for a data card: the teacher, how many cases were accepted and repaired, and why others were rejected.
    """

    teacher: RecordedTeacher
    folder: Path
    facts: dict[str, Any]

    def accepted(self, case: Case) -> bool:
        """Whether a case has a rationale."""
        return (case.disease, case.relevant, case.irrelevant) in self.teacher.answers

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the accepted rationales."""
        return [json.loads(line) for line in (self.folder / ACCEPTED).read_text(encoding="utf-8").splitlines()]


def explain_cases(teacher: Teacher, cases: Sequence[Case], store: Store) -> Explained:
    """Return the rationales of the cases that pass the checks.

    Args:
        teacher: writes them.
        cases: all of them distinct.
        store: keeps the rationales.

    Raises:
        KedrecError: as `Teacher.write`.
    """

    def build(folder: Path) -> None:
        report = teacher.write(cases, folder, store)
        counts = {"asked": report.cases, "kept": report.accepted, "repaired": report.repaired}
        write_atomic(folder / _REPORT, json.dumps({**counts, "rejected": report.reasons}))

    folder = store.get(_KIND, _key(teacher, cases), build)
    report = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
    return Explained(RecordedTeacher(folder / ACCEPTED), folder, {"teacher": teacher.name, **report})


def plan_cases(teacher: Teacher, cases: Sequence[Case], store: Store, unseen: int = 0) -> Stage:
    """Return what `explain_cases` would do; arguments are those of `Teacher.plan`."""
    return teacher.plan(cases, store, cached=store.holds(_KIND, _key(teacher, cases)), unseen=unseen)


def _key(teacher: Teacher, cases: Sequence[Case]) -> dict[str, Any]:
    """Return what the rationales depend on."""
    return {**teacher.identity, "cases": _cases_hash(cases), "checking": _CHECKS_VERSION}


def _cases_hash(cases: Sequence[Case]) -> str:
    content = hashlib.sha256()
    for case in cases:
        evidence = [(passage.id, passage.sentences) for passage in case.evidence]
        names = sorted((entity, list(names)) for entity, names in case.names.items())
        content.update(json.dumps([case.disease, case.relevant, case.irrelevant, names, evidence]).encode())
    return content.hexdigest()
