"""What reviewers answered, checked and put beside the key."""

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
    """One rationale that was given to reviewers.

    Attributes:
        item: its id in the sheet.
        model: whose it is.
        question: the question's id in the sheet.
        disease: id of the question's disease.
    """

    item: str
    model: str
    question: str
    disease: str


@dataclass(frozen=True)
class Judgement:
    """What one reviewer said of one rationale.

    Attributes:
        reviewer: as the file is called.
        of: the rationale.
        numbers: the rank and the scales that were answered.
        comment: "" if there is none.
    """

    reviewer: str
    of: Reviewed
    numbers: Mapping[str, int]
    comment: str


@dataclass(frozen=True)
class Reviews:
    """What all reviewers said.

    Attributes:
        models: names, in the order of the key.
        items: all rationales that were given to reviewers.
        judgements: those with an answer.
        private: whether the sheet shows data of patients.
    """

    models: tuple[str, ...]
    items: tuple[Reviewed, ...]
    judgements: tuple[Judgement, ...]
    private: bool

    @property
    def reviewers(self) -> tuple[str, ...]:
        """Their names, in alphabetical order."""
        return tuple(sorted({one.reviewer for one in self.judgements}))


def read_reviews(files: Sequence[str | Path], key: str | Path) -> Reviews:
    """Read the answers of all reviewers.

    Args:
        files: filled ``sheet.csv``, one a reviewer, or Label Studio's exports (JSON, JSON-MIN), in any mixture.
        key: ``key.json`` of the review.

    Raises:
        KedrecError: a file is of another form or another review, an answer is not of its scale, or a reviewer
            answered twice. What was left empty is no fault.
    """
    models, items, private = _read_key(Path(key))
    if not files:
        raise KedrecError("no filled sheet is named; expected CSV files or Label Studio's exports")
    judgements: list[Judgement] = []
    seen: dict[tuple[str, ...], str] = {}
    for file in files:
        before = len(judgements)
        for filled in read_filled(Path(file)):
            if filled.item not in items:
                raise KedrecError(f"{filled.place}: item {filled.item!r} is not in {key}: the sheet of another review?")
            numbers, comment = _numbers(filled, len(models)), filled.written[COMMENT]
            if numbers or comment:
                _check_new(filled, seen)
                judgements.append(Judgement(filled.reviewer, items[filled.item], numbers, comment))
        if len(judgements) == before:
            raise KedrecError(f"{file}: nothing is filled in; is it the file that was sent back?")
    return Reviews(models, tuple(items.values()), tuple(judgements), private)


def _check_new(filled: Filled, seen: dict[tuple[str, ...], str]) -> None:
    """Refuse what a reviewer has answered before, in this file or another; Label Studio tells annotations apart."""
    for once in ((filled.reviewer, filled.item), (*filled.annotation, filled.item)):
        if len(once) > 1 and seen.setdefault(once, filled.place) is not filled.place:
            raise KedrecError(
                f"{filled.place}: {filled.reviewer} has answered item {filled.item} already, in {seen[once]}; "
                "name each reviewer's file once, and give the files of two reviewers two names"
            )


def _numbers(filled: Filled, models: int) -> dict[str, int]:
    """Return the answers on scales.

    Raises:
        KedrecError: one is not a number of its scale.
    """
    found = {}
    for name, highest in {RANK: models, **{scale.name: len(scale.levels) for scale in SCALES}}.items():
        if written := filled.written[name].strip():
            number = number_in(written)
            if number is None or not 1 <= number <= highest:
                raise KedrecError(f"{filled.place}: {name} {written!r}; expected a number, 1 to {highest}, or nothing")
            found[name] = number
    return found


def _read_key(path: Path) -> tuple[tuple[str, ...], dict[str, Reviewed], bool]:
    """Return the models, item id -> the rationale, and whether it is private."""
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        models = tuple(told["models"])
        items = {
            item: Reviewed(item, models[models.index(model)], question, of["pair"].partition("|")[0])
            for question, of in told["questions"].items()
            for item, model in of["items"].items()
        }
        return models, items, bool(told["private"])
    except OSError as fault:
        raise KedrecError(f"{path}: {fault.strerror}; expected the key.json that was written with the sheet") from fault
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise KedrecError(f"{path}: not the key.json of a review, or damaged ({fault})") from fault
