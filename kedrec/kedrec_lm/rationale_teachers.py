"""Teachers: they explain why the relevant drug is the right choice, citing passages by id."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.answer_checks import UNCITED
from kedrec.kedrec_lm.rationale_cases import Case
from kedrec.runtime.preparation_plan import Stage
from kedrec.storage.artifact_store import Store
from kedrec.storage.compressed_text import text_lines
from kedrec.storage.jsonl import write_jsonl
from kedrec.text.citations import cited
from kedrec.text.excerpt import name_pattern

ACCEPTED = "rationales.jsonl"
REJECTED = "rejected.jsonl"


@dataclass(frozen=True)
class Report:
    """How many cases a teacher has explained, for the data card.

    Attributes:
        cases: all of them.
        accepted: those with a rationale that passed the checks.
        repaired: those of the accepted whose first answer could not be used.
        reasons: reason -> cases that were rejected for it.
    """

    cases: int
    accepted: int
    repaired: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class Teacher(ABC):
    """Explains cases, each in one paragraph with citations ``[passage id]``.

    Attributes:
        answer_tokens: most tokens of an answer of its language model; 0 without one.
    """

    answer_tokens: int = 0

    @property
    def name(self) -> str:
        """Names the teacher on a data card."""
        return type(self).__name__

    @property
    def identity(self) -> dict[str, Any]:
        """What the rationales depend on, beside the cases."""
        return {"teacher": self.name}

    @abstractmethod
    def write(self, cases: Sequence[Case], folder: Path, store: Store) -> Report:
        """Write ``rationales.jsonl``, which `RecordedTeacher` reads, and ``rejected.jsonl`` with reasons.

        Args:
            cases: all of them distinct; each has its line in one of the two files, in this order.
            folder: of the files.
            store: keeps the answers of language models.

        Raises:
            KedrecError: the teacher cannot be reached, or its budget is spent; answers so far are kept.
        """

    def plan(self, cases: Sequence[Case], store: Store, *, cached: bool, unseen: int) -> Stage:
        """Return what `write` would do, as a stage of a preparation; writes nothing.

        Args:
            cases: as `write` takes them.
            store: with what was kept.
            cached: whether the rationales of these cases are in the store already.
            unseen: tokens, about, that each prompt will have beyond those of the cases, of passages not retrieved yet.

        Raises:
            KedrecError: the cases are patient data and the teacher is not on this machine.
        """
        return self.plan_at_most(len(cases))

    def plan_at_most(self, cases: int) -> Stage:
        """Return the stage of up to so many cases that are not known yet."""
        work: dict[str, float] = {"pairs to explain, at most": cases}
        if self.answer_tokens:
            work["tokens of answers, at most"] = 2 * cases * self.answer_tokens  # each may be repaired once
        return Stage(f"rationales of {self.name}", False, work)


class DirectTeacher(Teacher):
    """A teacher that explains one case at a time, without a language model."""

    @abstractmethod
    def explain(self, case: Case) -> str:
        """Return the rationale of a case.

        Raises:
            KedrecError: there is none.
        """

    def write(self, cases: Sequence[Case], folder: Path, store: Store) -> Report:
        """Write the rationales; one that cites nothing although its case has passages is rejected."""
        accepted: list[dict[str, Any]] = []
        rejected: list[dict[str, Any]] = []
        for case in cases:
            row = {"disease": case.disease, "relevant": case.relevant, "irrelevant": case.irrelevant}
            try:
                rationale = self.explain(case)
            except KedrecError as fault:
                rejected.append({**row, "reason": "no recorded rationale", "detail": str(fault), "text": ""})
                continue
            if case.evidence and not cited(rationale):
                detail = "no passage names the drug"
                rejected.append({**row, "reason": UNCITED, "detail": detail, "text": rationale})
            else:
                accepted.append({**row, "rationale": rationale, "confidence": 1.0, "teacher": type(self).__name__})
        write_jsonl(folder / ACCEPTED, accepted)
        write_jsonl(folder / REJECTED, rejected)
        return Report(len(cases), len(accepted), reasons=Counter(row["reason"] for row in rejected))


class RecordedTeacher(DirectTeacher):
    """Rationales that were recorded.

    Args:
        path: JSONL with ``disease``, ``relevant``, ``irrelevant`` (entity ids) and ``rationale``; plain, .gz or .zst.

    Raises:
        KedrecError: the file is absent or a line is not of that form.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.answers: dict[tuple[str, str, str], str] = {}
        if not self.path.is_file():
            raise KedrecError(f"{path}: no such file; data.init_args.rationales names the recorded rationales")
        for number, line in text_lines(self.path):
            try:
                row = json.loads(line)
                key = (row["disease"], row["relevant"], row["irrelevant"])
                self.answers[key] = str(row["rationale"])
            except (ValueError, KeyError, TypeError) as fault:
                expected = "expected an object with disease, relevant, irrelevant and rationale"
                raise KedrecError(f"{path}: line {number}: {expected} ({type(fault).__name__}: {fault})") from fault

    @property
    def name(self) -> str:
        """Names the teacher on a data card, with a hash of its records."""
        content = json.dumps(sorted((*key, text) for key, text in self.answers.items()))
        return f"{type(self).__name__} {hashlib.sha256(content.encode()).hexdigest()[:12]}"

    def explain(self, case: Case) -> str:
        """Return the recorded rationale.

        Raises:
            KedrecError: none was recorded for this case.
        """
        try:
            return self.answers[case.disease, case.relevant, case.irrelevant]
        except KeyError:
            pair = f"{case.disease}, {case.relevant} against {case.irrelevant}"
            remedy = "record one, or set data.init_args.rationales=null for the extractive teacher"
            raise KedrecError(f"{self.path}: no rationale for {pair}; {remedy}") from None


class ExtractiveTeacher(DirectTeacher):
    """Quotes the sentences that name disease and drug, without a model: a baseline.

    Args:
        sentences: how many to quote for the relevant drug, at most.
        words: bound of a quoted sentence; a longer one is cut.
    """

    def __init__(self, sentences: int = 2, words: int = 45) -> None:
        self.sentences = sentences
        self.words = words

    def explain(self, case: Case) -> str:
        """Return up to ``sentences`` quotations on the relevant drug and one on the other, each cited."""
        disease, relevant, other = (name_pattern(case.names[i]) for i in (case.disease, case.relevant, case.irrelevant))
        ranked: list[tuple[int, int, str, str]] = []
        against: list[tuple[int, str, str]] = []
        for rank, passage in enumerate(case.evidence):
            about = bool(disease.search(" ".join(passage.sentences)))
            for sentence in passage.sentences:
                if relevant.search(sentence):
                    strength = 0 if disease.search(sentence) else 1 if about else 2
                    ranked.append((strength, rank, sentence, passage.id))
                elif other.search(sentence) and not disease.search(sentence):
                    against.append((rank, sentence, passage.id))
        drug, rival, illness = (case.names[i][0] for i in (case.relevant, case.irrelevant, case.disease))
        parts = [f"{drug} is the drug used for {illness}."]
        chosen = sorted(ranked, key=lambda item: item[:2])[: self.sentences]
        parts += [f"{self._quote(sentence)} [{source}]." for _, _, sentence, source in chosen]
        if against:
            _, sentence, source = min(against, key=lambda item: item[0])
            parts.append(f"On {rival}: {self._quote(sentence)} [{source}].")
        else:
            parts.append(f"No passage shown connects {rival} with {illness}.")
        return " ".join(parts)

    def _quote(self, sentence: str) -> str:
        # Brackets of the quoted text would be taken for citations.
        words = sentence.replace("[", "(").replace("]", ")").rstrip(".!? ").split()
        return " ".join(words[: self.words]) + (" ..." if len(words) > self.words else "")
