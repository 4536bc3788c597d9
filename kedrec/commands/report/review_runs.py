"""What is reviewed: the rationales that several models, the base and the teacher gave for the same questions."""

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

Asked = tuple[str, tuple[str, str]]
"""A question: the pair's ids, and the drugs' names in the order shown."""


@dataclass(frozen=True)
class Answer:
    """What one model answered to one question.

    Attributes:
        disease: its name.
        recommended: name of the drug chosen.
        rationale: as it was written.
        passages: id -> excerpt of the passages shown, in the order of their numbers; empty excerpts in old runs.
    """

    disease: str
    recommended: str
    rationale: str
    passages: Mapping[str, str]


@dataclass(frozen=True)
class Voice:
    """A model whose rationales are reviewed.

    Attributes:
        name: what the key calls it.
        answers: of the first orders.
    """

    name: str
    answers: Mapping[Asked, Answer]


def read_voices(folders: Sequence[Path], *, base: bool, private: bool) -> list[Voice]:
    """Return the models of some runs; with ``base`` their untouched bases and teachers, each distinct one once.

    Args:
        folders: of students' runs, or that hold some.
        base: whether bases and teachers are reviewed, too.
        private: whether runs on data of patients may be.

    Raises:
        KedrecError: a run is not finished or has no rationales, or its data are of patients.
    """
    runs, left_out = find_runs(folders)
    for place, reason in left_out:
        raise KedrecError(f"{place}: {reason}; name the runs that are to be reviewed, without this one")
    tables = [run.rows("predictions.jsonl") for run in runs]
    names = [f"{run.finished.original.name}/{run.finished.original.run_id}" for run in runs]
    voices = [Voice(name, _answers(rows)) for name, rows in zip(names, tables, strict=True)]
    for run, voice in zip(runs, voices, strict=True):
        if not voice.answers:
            raise KedrecError(f"{run.path}: no rationale in predictions.jsonl; expected the run of a student")
        if names.count(voice.name) > 1:
            raise KedrecError(f"{run.path}: the run {voice.name} is given twice; name each run once")
        if not private and run.private:
            raise KedrecError(
                f"{run.path}: its data are of patients, or of a class that is not kedrec's, and a sheet shows them; "
                "--private writes it all the same"
            )
    shared = shared_questions(voices)
    if base:
        untouched = [_answers(run.rows("predictions_base.jsonl")) for run in runs]
        if not any(untouched):
            lacking = runs[0].path / "predictions_base.jsonl"
            raise KedrecError(f"{lacking}: no such file; review the runs without the base")
        voices += _distinct("base", names, untouched, shared)
        voices += _distinct("teacher", names, [_taught(rows) for rows in tables], shared)
    if len(voices) < 2:
        raise KedrecError("a review compares at least two models; name another run, or add the base and the teacher")
    return voices


def shared_questions(voices: Sequence[Voice]) -> list[Asked]:
    """Return the questions that all models explained, in the order of their pairs.

    Raises:
        KedrecError: there is none.
    """
    shared = set(voices[0].answers)
    for place, voice in enumerate(voices[1:], start=1):
        if not shared & set(voice.answers):
            others = " and ".join(one.name for one in voices[:place])
            raise KedrecError(
                f"{voice.name} explained no question that {others} explained; a review needs runs with the same pairs"
            )
        shared &= set(voice.answers)
    return sorted(shared)


def all_passages(answers: Iterable[Answer]) -> dict[str, str]:
    """Return id -> excerpt of what any of the models was shown; of excerpts of one passage the longest."""
    found: dict[str, str] = {}
    for answer in answers:
        for passage, text in answer.passages.items():
            if len(text) >= len(found.get(passage, "")):
                found[passage] = text
    return found


def cite_alike(rationale: str, shown: Sequence[str], numbers: Mapping[str, int]) -> str:
    """Return a rationale with its citations renumbered and written as all others are, so that they tell no model.

    >>> cite_alike("It lowers glucose[1;2][9]. It is new [sic].", ["P-1", "P-2"], {"P-2": 1, "P-1": 4})
    'It lowers glucose [1] [4] [?]. It is new [sic].'

    Args:
        rationale: citations as ``[1]``, ``[1, 2]``, ``[1-3]`` or ``[ID]`` of the passages shown to the model.
        shown: their ids, in the order of their numbers.
        numbers: id -> number in the sheet, of the passages of all models.

    Returns:
        ``[?]`` stands for whatever was not shown to the model.
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
    """Return the ids that a part of a bracket cites, "" for what was not shown; nothing if it is no citation."""
    if part in shown:
        return [part]
    found = _NUMBERS.fullmatch(part)
    if not found:
        return [""] if _ID.fullmatch(part) else []
    first, last = int(found[1]), int(found[2] or found[1])
    wanted = range(first, min(last, len(shown) + 1) + 1)
    return [shown[number - 1] if 1 <= number <= len(shown) else "" for number in wanted] or [""]


def _answers(rows: Sequence[Mapping[str, Any]]) -> dict[Asked, Answer]:
    explained = [row for row in rows if "rationale" in row and not row["swapped"]]
    return {_asked(row): _answer(row, row["choice"], row["rationale"]) for row in explained}


def _taught(rows: Sequence[Mapping[str, Any]]) -> dict[Asked, Answer]:
    """Return the teacher's rationales, each for the relevant drug."""
    explained = [row for row in rows if "rationale" in row and not row["swapped"] and row["reference"]]
    return {_asked(row): _answer(row, row["correct"], row["reference"]) for row in explained}


def _asked(row: Mapping[str, Any]) -> Asked:
    first, second = row["drugs"]
    return row["pair"], (first, second)


def _answer(row: Mapping[str, Any], choice: int, rationale: str) -> Answer:
    texts = row.get("texts") or [""] * len(row["passages"])
    return Answer(row["disease"], row["drugs"][choice], rationale, dict(zip(row["passages"], texts, strict=True)))


def _distinct(
    kind: str, names: Sequence[str], found: Sequence[Mapping[Asked, Answer]], asked: Sequence[Asked]
) -> list[Voice]:
    """Return one model for all runs that have the same: that of the run that was shown most passages.

    Args:
        kind: what it is called, with the run's name where there are several.
        names: of the runs.
        found: the answers of each run's; empty where it has none.
        asked: the questions that count. Citations do not: they are numbers of passages, which may not be the same.
    """
    groups: dict[str, Voice] = {}
    for name, answers in zip(names, found, strict=True):
        if all(one in answers for one in asked):
            said = [(answers[one].recommended, without_citations(answers[one].rationale)) for one in asked]
            same = key_hash({kind: said})
            voice = groups.setdefault(same, Voice(f"{kind} of {name}", answers))
            if _shown(answers, asked) > _shown(voice.answers, asked):
                groups[same] = Voice(voice.name, answers)
    if len(groups) == 1:
        return [Voice(kind, voice.answers) for voice in groups.values()]
    return list(groups.values())


def _shown(answers: Mapping[Asked, Answer], asked: Sequence[Asked]) -> int:
    return sum(len(answers[one].passages) for one in asked)
