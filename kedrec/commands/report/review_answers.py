"""Reads and checks the reviewers' answers, and joins them with the key."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedrec.commands.report.review_files import Filled, read_filled
from kedrec.commands.report.review_form import COMMENT, RANK, SCALES, number_in
from kedrec.errors import KedrecError


@dataclass(frozen=True)
class Reviewed:
    """One rationale in a review.

    Attributes:
        item: its id in the sheet.
        model: name of the model that wrote it.
        question: the question's id in the sheet.
        disease: id of the question's disease.
    """

    item: str
    model: str
    question: str
    disease: str


@dataclass(frozen=True)
class Judgement:
    """One reviewer's answers on one rationale.

    Attributes:
        reviewer: name of the file.
        of: the rationale.
        numbers: "rank" or the name of a scale -> answer; unanswered ones are absent.
        comment: empty if there is none.
    """

    reviewer: str
    of: Reviewed
    numbers: Mapping[str, int]
    comment: str


@dataclass(frozen=True)
class Reviews:
    """The answers of all reviewers.

    Attributes:
        models: names, in the order of the key.
        items: all rationales of the review.
        judgements: answered rationales.
        private: whether the sheet shows patient data.
    """

    models: tuple[str, ...]
    items: tuple[Reviewed, ...]
    judgements: tuple[Judgement, ...]
    private: bool

    @property
    def reviewers(self) -> tuple[str, ...]:
        """Names of the reviewers, in alphabetical order."""
        return tuple(sorted({one.reviewer for one in self.judgements}))


def read_reviews(files: Sequence[str | Path], key: str | Path) -> Reviews:
    """Read the answers of all reviewers.

    Args:
        files: filled ``sheet.csv``, one per reviewer, and exports of Label Studio (JSON, JSON-MIN).
        key: ``key.json`` of the review.

    Raises:
        KedrecError: a file has another format or belongs to another review, an answer is not on its scale, or a
            reviewer answered an item twice. Empty answers are allowed.
    """
    models, items, private = _read_key(Path(key))
    if not files:
        raise KedrecError("no filled sheet is given; expected CSV files or JSON exports of Label Studio")
    judgements: list[Judgement] = []
    seen: dict[tuple[str, ...], str] = {}
    for file in files:
        before = len(judgements)
        for filled in read_filled(Path(file)):
            if filled.item not in items:
                raise KedrecError(
                    f"{filled.location}: {key} has no item {filled.item!r}; give the key of this sheet's review"
                )
            numbers, comment = _numbers(filled, len(models)), filled.written[COMMENT]
            if numbers or comment:
                _check_new(filled, seen)
                judgements.append(Judgement(filled.reviewer, items[filled.item], numbers, comment))
        if len(judgements) == before:
            raise KedrecError(f"{file}: no answer is filled in; give the file that the reviewer sent back")
    return Reviews(models, tuple(items.values()), tuple(judgements), private)


def _check_new(filled: Filled, seen: dict[tuple[str, ...], str]) -> None:
    """Refuse a second answer of a reviewer to an item, in the same or another file."""
    for once in ((filled.reviewer, filled.item), (*filled.annotation, filled.item)):
        if len(once) > 1 and seen.setdefault(once, filled.location) is not filled.location:
            raise KedrecError(
                f"{filled.location}: {filled.reviewer} answered item {filled.item} already, in {seen[once]}; "
                "give each file once; the file's name identifies the reviewer, so the files of two reviewers need "
                "different names"
            )


def _numbers(filled: Filled, models: int) -> dict[str, int]:
    """Return the rank and the ratings.

    Raises:
        KedrecError: an answer is not a number of its scale.
    """
    found = {}
    for name, highest in {RANK: models, **{scale.name: len(scale.levels) for scale in SCALES}}.items():
        if written := filled.written[name].strip():
            number = number_in(written)
            if number is None or not 1 <= number <= highest:
                raise KedrecError(
                    f"{filled.location}: {name} is {written!r}; expected a number from 1 to {highest}, or an empty cell"
                )
            found[name] = number
    return found


def _read_key(path: Path) -> tuple[tuple[str, ...], dict[str, Reviewed], bool]:
    """Return the models, item id -> the rationale, and whether the review shows patient data."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        models = tuple(content["models"])
        items = {
            item: Reviewed(item, models[models.index(model)], question, of["pair"].partition("|")[0])
            for question, of in content["questions"].items()
            for item, model in of["items"].items()
        }
        return models, items, bool(content["private"])
    except OSError as fault:
        raise KedrecError(f"{path}: {fault.strerror}; expected the key.json written with the sheet") from fault
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise KedrecError(
            f"{path}: not the key.json of a review, or damaged ({fault}); restore it from a copy"
        ) from fault
