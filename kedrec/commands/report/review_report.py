"""Results of a review: preference, ratings and agreement, as numbers and as tables."""

import dataclasses
import html
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from kedrec.commands.report.review_answers import Reviews
from kedrec.commands.report.review_form import RANK, SCALES
from kedrec.commands.report.review_ratings import Agreement, Rating, agreements, ratings
from kedrec.commands.report.review_sheet import plain
from kedrec.commands.report.reviewer_preference import Estimate, Preference, Standing, compared, preferences, standings
from kedrec.training.run_card import Table, markdown

_ORDER = (
    "Order of the models: share of comparisons in which a model is preferred, ties counted half, and its Bradley-Terry "
    "strength, log odds against an average model"
)
_PAIRS = (
    "Preference by pairs of models: share of questions in which the first is preferred, ties counted half; two-sided "
    "sign test over diseases, and the same adjusted for the number of pairs (Holm)"
)
_RATED = "Mean ratings, from 1, the worst"
_AGREED = (
    "Agreement of reviewers beyond chance: Krippendorff's alpha, nominal for preference, ordinal for scales; for two "
    "reviewers also Cohen's kappa, with linear weights for scales"
)


@dataclass(frozen=True)
class Comment:
    """A reviewer's comment; text from outside."""

    reviewer: str
    model: str
    item: str
    text: str


@dataclass(frozen=True)
class ReviewReport:
    """The results of a review.

    Attributes:
        questions: number of questions in the review.
        diseases: number of their diseases.
        rationales: number of rationales in the review.
        answered: reviewer -> "rank" or scale -> number of answers; the others are empty.
        standings: the models, the most preferred first.
        preferences: one for each pair of models.
        ratings: one for each model and scale.
        agreement: on preference and on each scale; empty with a single reviewer.
        comments: empty for patient data.
    """

    questions: int
    diseases: int
    rationales: int
    answered: dict[str, dict[str, int]]
    standings: list[Standing]
    preferences: list[Preference]
    ratings: list[Rating]
    agreement: list[Agreement]
    comments: list[Comment]

    def as_json(self) -> str:
        """Return all numbers as JSON; undefined ones are ``null``."""
        return json.dumps(_defined(dataclasses.asdict(self)), indent=1, ensure_ascii=False) + "\n"

    def tables(self) -> list[tuple[str, Table]]:
        """Return the non-empty tables with their captions; names in them are text from outside."""
        order = [[one.model, _shown(one.share), _number(one.strength)] for one in self.standings]
        pairs = [_preferred(one) for one in self.preferences]
        rated = [
            [one.model, one.scale, _shown(one.mean), *map(str, (one.highest, one.rationales, one.answers))]
            for one in self.ratings
        ]
        agreed = [[one.on, _shown(one.alpha), _number(one.kappa), str(one.units)] for one in self.agreement]
        answered = [[name, *map(str, of.values())] for name, of in self.answered.items()]
        of = f"{self.rationales} rationales to {self.questions} questions on {self.diseases} diseases"
        found = [
            (_ORDER, (["model", "preferred", "strength"], order)),
            (
                _PAIRS,
                (["first", "second", "first preferred", "questions", "diseases won, lost", "p", "adjusted"], pairs),
            ),
            (_RATED, (["model", "scale", "mean", "highest", "rationales", "answers"], rated)),
            (_AGREED, (["on", "alpha", "kappa", "units"], agreed)),
            (f"Number of answers, of {of}", (["reviewer", RANK, *(scale.name for scale in SCALES)], answered)),
        ]
        return [(caption, table) for caption, table in found if table[1]]

    def as_markdown(self) -> str:
        """Return the tables in Markdown, with text from outside escaped."""
        lines = [
            "# Review",
            "",
            "Research use, not medical advice. Brackets hold 95 % intervals; diseases are resampled.",
            "",
        ]
        for caption, (header, rows) in self.tables():
            safe = [[_escaped(cell) for cell in row] for row in rows]
            lines += [f"{caption}.", "", *markdown((header, safe)), ""]
        return "\n".join(lines)


def review_report(reviews: Reviews) -> ReviewReport:
    """Return the results of the reviewers' answers."""
    found = compared(reviews)
    answers = (RANK, *(scale.name for scale in SCALES))
    said = [one for one in reviews.judgements if one.comment and not reviews.private]
    return ReviewReport(
        questions=len({one.question for one in reviews.items}),
        diseases=len({one.disease for one in reviews.items}),
        rationales=len(reviews.items),
        answered={
            name: {of: sum(one.reviewer == name and of in one.numbers for one in reviews.judgements) for of in answers}
            for name in reviews.reviewers
        },
        standings=standings(found, reviews.models),
        preferences=preferences(found),
        ratings=ratings(reviews),
        agreement=agreements(reviews, found),
        comments=[Comment(one.reviewer, one.of.model, one.of.item, one.comment) for one in said],
    )


def _preferred(one: Preference) -> list[str]:
    return [*one.models, _shown(one.share), str(one.questions), f"{one.won}, {one.lost}", _p(one.p), _p(one.p_holm)]


def _shown(one: Estimate) -> str:
    """Return a number with its interval."""
    if math.isnan(one.value):
        return _number(one.value)
    return f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"


def _number(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{value:.3f}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _escaped(cell: str) -> str:
    """Return a cell escaped for Markdown and HTML."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", html.escape(plain(cell), quote=False))


def _defined(value: Any) -> Any:
    """Return the value with ``None`` for NaN, which JSON lacks."""
    if isinstance(value, dict):
        return {key: _defined(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
