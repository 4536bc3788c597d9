"""Where the rationales that a student learns from come from."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.rationale_cache import explain_cases
from kedrec.kedrec_lm.rationale_cases import Case
from kedrec.kedrec_lm.rationale_teachers import REJECTED, ExtractiveTeacher, RecordedTeacher, Teacher
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import SPLITS
from kedrec.storage.artifact_store import Store


@dataclass(frozen=True)
class Rationales:
    """The rationales of some pairs.

    Attributes:
        texts: pair -> its rationale; pairs without an accepted one are absent.
        facts: for the card.
        confidences: pair -> the teacher's own confidence, 0 to 1, where it states one.
        rejected: file of the rejected answers, where they were checked.
    """

    texts: Mapping[Pair, str]
    facts: Mapping[str, Any]
    confidences: Mapping[Pair, float] = field(default_factory=dict)
    rejected: Path | None = None


class RationaleSource(ABC):
    """Gives the rationales of pairs."""

    @abstractmethod
    def rationales(self, cases: Mapping[Pair, Case], store: Store) -> Rationales:
        """Return the rationales of some pairs.

        Args:
            cases: pair -> what a teacher explains of it.
            store: keeps the rationales.

        Raises:
            KedrecError: a rationale is missing, or a teacher cannot be reached.
        """


class UncheckedRationales(RationaleSource):
    """A rationale of every pair, recorded or quoted from the passages.

    Args:
        file: JSONL of recorded rationales; ``None`` lets the extractive teacher write them.
    """

    def __init__(self, file: str | None) -> None:
        self.file = file

    def rationales(self, cases: Mapping[Pair, Case], store: Store) -> Rationales:
        """Return the rationale of each pair; one that is not recorded is an error."""
        teacher = ExtractiveTeacher() if self.file is None else RecordedTeacher(self.file)
        texts = {pair: teacher.explain(case) for pair, case in cases.items()}
        return Rationales(texts, {"teacher": type(teacher).__name__})


class CheckedRationales(RationaleSource):
    """The rationales that pass the checks of `kedrec.kedrec_lm.answer_checks`, kept in the store.

    Args:
        teacher: writes them.
    """

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher

    def rationales(self, cases: Mapping[Pair, Case], store: Store) -> Rationales:
        """Return the accepted rationales; a split without any is an error."""
        explained = explain_cases(self.teacher, list(cases.values()), store)
        facts = explained.facts
        pairs = [pair for pair, case in cases.items() if explained.accepted(case)]
        counts = count_by_split(pairs)
        if not all(counts.values()):
            reasons = ", ".join(f"{reason} ({times})" for reason, times in facts["rejected"].items())
            raise KedrecError(
                f"the teacher {facts['teacher']}: of {len(cases)} pairs {split_counts(counts)} are left; each split "
                f"needs some; rejected: {reasons or 'none'}, see {explained.folder / REJECTED}; use a stronger "
                "teacher or more pairs"
            )
        row_of = {(row["disease"], row["relevant"], row["irrelevant"]): row for row in explained.rows()}
        confidences = {pair: row_of[pair.disease, pair.relevant, pair.irrelevant]["confidence"] for pair in pairs}
        return Rationales(
            {pair: explained.teacher.explain(cases[pair]) for pair in pairs},
            {
                "pairs_asked_about": count_by_split(cases),
                "teacher": facts["teacher"],
                "rationales": facts,
                "pairs": counts,
            },
            confidences,
            explained.folder / REJECTED,
        )


def count_by_split(pairs: Iterable[Pair]) -> dict[str, int]:
    """Return split -> number of pairs."""
    counts = Counter(pair.split for pair in pairs)
    return {split: counts[split] for split in SPLITS}


def split_counts(counts: Mapping[str, int]) -> str:
    """Return the numbers of splits as one line."""
    return ", ".join(f"{number:,} {split}" for split, number in counts.items())
