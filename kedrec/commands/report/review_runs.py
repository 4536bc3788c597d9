"""Reads the rationales to review: those of several models, the base and the teacher for the same questions."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedrec.commands.report.reported_runs import find_runs
from kedrec.errors import KedrecError
from kedrec.storage.hashing import key_hash
from kedrec.text.citations import cited, without_citations

_BRACKET = re.compile(r"\s*\[[^\[\]]+\]")
_CITATIONS = re.compile(r"(?: \[(?:\d+|\?)\])+")
_NUMBERS = re.compile(r"(\d{1,6})(?:\s*[-\N{EN DASH}]\s*(\d{1,6}))?")
_ID = re.compile(r"[A-Za-z][\w:.-]*\d")

Question = tuple[str, tuple[str, str]]
"""A question: the pair's ids, and the drugs' names in the order shown."""


@dataclass(frozen=True)
class Answer:
    """One model's answer to one question.

    Attributes:
        disease: name of the disease.
        recommended: name of the chosen drug.
        rationale: the model's text.
        passages: id -> excerpt of the passages shown, in the order of their numbers; old runs have empty excerpts.
    """

    disease: str
    recommended: str
    rationale: str
    passages: Mapping[str, str]


@dataclass(frozen=True)
class Voice:
    """A model whose rationales are reviewed.

    Attributes:
        name: its name in the key.
        answers: its answers to the questions in their first order.
    """

    name: str
    answers: Mapping[Question, Answer]


def read_voices(folders: Sequence[Path], *, base: bool, private: bool) -> list[Voice]:
    """Return the models of runs; with ``base`` also their untouched bases and teachers, without duplicates.

    Args:
        folders: folders of students' runs, or folders that hold such runs.
        base: whether bases and teachers are reviewed too.
        private: whether runs on patient data may be reviewed.

    Raises:
        KedrecError: a run is not finished or has no rationales, or its data are patient data.
    """
    runs, left_out = find_runs(folders)
    for folder, reason in left_out:
        raise KedrecError(f"{folder}: {reason}; name only the runs to review, without this one")
    tables = [run.rows("predictions.jsonl") for run in runs]
    names = [f"{run.finished.original.name}/{run.finished.original.run_id}" for run in runs]
    voices = [Voice(name, _answers(rows)) for name, rows in zip(names, tables, strict=True)]
    for run, voice in zip(runs, voices, strict=True):
        if not voice.answers:
            raise KedrecError(f"{run.path}: predictions.jsonl holds no rationale; expected a student's run")
        if names.count(voice.name) > 1:
            raise KedrecError(f"{run.path}: the run {voice.name} is given twice; name each run once")
        if not private and run.private:
            raise KedrecError(
                f"{run.path}: the sheet would show patient data, or data of a class outside kedrec; add --private to "
                "write it nevertheless"
            )
    shared = shared_questions(voices)
    if base:
        untouched = [_answers(run.rows("predictions_base.jsonl")) for run in runs]
        if not any(untouched):
            missing = runs[0].path / "predictions_base.jsonl"
            raise KedrecError(f"{missing}: no such file; leave out --base")
        voices += _distinct("base", names, untouched, shared)
        voices += _distinct("teacher", names, [_taught(rows) for rows in tables], shared)
    if len(voices) < 2:
        raise KedrecError("command line: one model; a review compares at least two: name another run, or add --base")
    return voices


def shared_questions(voices: Sequence[Voice]) -> list[Question]:
    """Return the questions that all models explained, in the order of their pairs.

    Raises:
        KedrecError: there is no such question.
    """
    shared = set(voices[0].answers)
    for number, voice in enumerate(voices[1:], start=1):
        if not shared & set(voice.answers):
            others = " and ".join(one.name for one in voices[:number])
            raise KedrecError(
                f"{voice.name} explained no question that {others} explained; a review needs runs with the same pairs"
            )
        shared &= set(voice.answers)
    return sorted(shared)


def all_passages(answers: Iterable[Answer]) -> dict[str, str]:
    """Return the passages that any model was shown, id -> excerpt; of several excerpts the longest."""
    found: dict[str, str] = {}
    for answer in answers:
        for passage, text in answer.passages.items():
            if len(text) >= len(found.get(passage, "")):
                found[passage] = text
    return found


def cite_alike(rationale: str, shown: Sequence[str], numbers: Mapping[str, int]) -> str:
    """Return a rationale with citations renumbered and in one format, so that they do not reveal the model.

    >>> cite_alike("It lowers glucose[1;2][9]. It is new [sic].", ["P-1", "P-2"], {"P-2": 1, "P-1": 4})
    'It lowers glucose [1] [4] [?]. It is new [sic].'

    Args:
        rationale: citations as ``[1]``, ``[1, 2]``, ``[1-3]`` or ``[ID]`` of the passages shown to the model.
        shown: their ids, in the order of their numbers.
        numbers: id -> number in the sheet, of the passages of all models.

    Returns:
        The rationale; ``[?]`` replaces citations of passages that the model was not shown.
    """

    def cite(match: re.Match[str]) -> str:
        passages = [passage for part in cited(match.group()) for passage in _meant(part, shown)]
        if not passages:
            return match.group()
        return "".join(f" [{numbers.get(passage, '?')}]" for passage in passages)

    def merge(match: re.Match[str]) -> str:
        each = set(match.group().split())
        return "".join(f" {one}" for one in sorted(each, key=lambda one: (one == "[?]", len(one), one)))

    return _CITATIONS.sub(merge, _BRACKET.sub(cite, rationale)).strip()


def _meant(part: str, shown: Sequence[str]) -> list[str]:
    """Return the ids that a part of a bracket cites, "" for a passage not shown; empty if it is not a citation."""
    if part in shown:
        return [part]
    found = _NUMBERS.fullmatch(part)
    if not found:
        return [""] if _ID.fullmatch(part) else []
    first, last = int(found[1]), int(found[2] or found[1])
    cited_numbers = range(first, min(last, len(shown) + 1) + 1)
    return [shown[number - 1] if 1 <= number <= len(shown) else "" for number in cited_numbers] or [""]


def _answers(rows: Sequence[Mapping[str, Any]]) -> dict[Question, Answer]:
    explained = [row for row in rows if "rationale" in row and not row["swapped"]]
    return {_question_of(row): _answer(row, row["choice"], row["rationale"]) for row in explained}


def _taught(rows: Sequence[Mapping[str, Any]]) -> dict[Question, Answer]:
    """Return the teacher's rationales, each for the relevant drug."""
    explained = [row for row in rows if "rationale" in row and not row["swapped"] and row["reference"]]
    return {_question_of(row): _answer(row, row["correct"], row["reference"]) for row in explained}


def _question_of(row: Mapping[str, Any]) -> Question:
    first, second = row["drugs"]
    return row["pair"], (first, second)


def _answer(row: Mapping[str, Any], choice: int, rationale: str) -> Answer:
    texts = row.get("texts") or [""] * len(row["passages"])
    return Answer(row["disease"], row["drugs"][choice], rationale, dict(zip(row["passages"], texts, strict=True)))


def _distinct(
    kind: str, names: Sequence[str], found: Sequence[Mapping[Question, Answer]], questions: Sequence[Question]
) -> list[Voice]:
    """Return the distinct bases or teachers of runs; of equal ones that of the run that was shown most passages.

    Args:
        kind: name, followed by the run's name if there are several.
        names: names of the runs.
        found: for each run the answers of its base or teacher; empty if it has none.
        questions: the questions compared; citations are not, since the numbers of passages may differ.
    """
    groups: dict[str, Voice] = {}
    for name, answers in zip(names, found, strict=True):
        if all(one in answers for one in questions):
            said = [(answers[one].recommended, without_citations(answers[one].rationale)) for one in questions]
            same = key_hash({kind: said})
            voice = groups.setdefault(same, Voice(f"{kind} of {name}", answers))
            if _shown(answers, questions) > _shown(voice.answers, questions):
                groups[same] = Voice(voice.name, answers)
    if len(groups) == 1:
        return [Voice(kind, voice.answers) for voice in groups.values()]
    return list(groups.values())


def _shown(answers: Mapping[Question, Answer], questions: Sequence[Question]) -> int:
    return sum(len(answers[one].passages) for one in questions)
