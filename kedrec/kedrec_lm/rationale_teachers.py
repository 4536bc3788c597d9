"""Teachers: who says why the relevant drug is the right choice, citing passages by id."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kedrec.errors import KedrecError
from kedrec.storage.compressed_text import text_lines
from kedrec.text.excerpt import name_pattern


@dataclass(frozen=True)
class Evidence:
    """A passage as a teacher reads it: its id and its sentences."""

    id: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """What a teacher is asked to explain.

    Attributes:
        disease, relevant, irrelevant: entity ids.
        names: for each of the three ids the names it goes by, the first of them the one to write.
        evidence: passages retrieved for the two drugs, from all sources, best first.
        private: it is a patient's: only a model on this machine may be asked about it.
    """

    disease: str
    relevant: str
    irrelevant: str
    names: Mapping[str, Sequence[str]]
    evidence: Sequence[Evidence]
    private: bool = False


class Teacher(Protocol):
    """Explains a case in one paragraph with citations ``[passage id]``."""

    def explain(self, case: Case) -> str:
        """Return the rationale."""
        ...


class RecordedTeacher:
    """Answers that were given once and kept.

    Args:
        path: JSONL with ``disease``, ``relevant``, ``irrelevant`` (entity ids) and ``rationale``; plain, .gz or .zst.

    Raises:
        KedrecError: the file is absent or a line is not of that form.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise KedrecError(f"{path}: no such file; data.init_args.rationales names the recorded rationales")
        self.answers: dict[tuple[str, str, str], str] = {}
        for number, line in text_lines(self.path):
            try:
                row = json.loads(line)
                key = (row["disease"], row["relevant"], row["irrelevant"])
                self.answers[key] = str(row["rationale"])
            except (ValueError, KeyError, TypeError) as fault:
                expected = "expected an object with disease, relevant, irrelevant and rationale"
                raise KedrecError(f"{path}: line {number}: {expected} ({type(fault).__name__}: {fault})") from fault

    def explain(self, case: Case) -> str:
        """Return the recorded rationale.

        Raises:
            KedrecError: none was recorded for this case.
        """
        try:
            return self.answers[case.disease, case.relevant, case.irrelevant]
        except KeyError:
            asked = f"{case.disease}, {case.relevant} against {case.irrelevant}"
            remedy = "record one, or set data.init_args.rationales=null for the extractive teacher"
            raise KedrecError(f"{self.path}: no rationale for {asked}; {remedy}") from None


class ExtractiveTeacher:
    """Needs no model: quotes the sentences that name disease and drug. A baseline, and said to be one.

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
