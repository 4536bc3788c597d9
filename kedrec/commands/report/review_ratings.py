"""Ratings of single rationales, and the agreement of the reviewers."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kedrec.commands.report.review_answers import Reviewed, Reviews
from kedrec.commands.report.review_form import SCALES
from kedrec.commands.report.reviewer_agreement import Level, alpha, coincidences, kappa
from kedrec.commands.report.reviewer_preference import Compared, Estimate, estimate
from kedrec.evaluation.bootstrap import cluster_sums

Values = NDArray[np.float64]
Unit = tuple[str, Mapping[str, int]]
"""A rated unit: its disease, and reviewer -> value, from 0."""


@dataclass(frozen=True)
class Rating:
    """The mean rating of a model on one scale.

    Attributes:
        model: name of the model.
        scale: name of the scale.
        mean: mean over the rationales of the reviewers' means; higher is better.
        highest: highest value of the scale, which begins at 1.
        rationales: number of rated rationales.
        answers: number of ratings.
    """

    model: str
    scale: str
    mean: Estimate
    highest: int
    rationales: int
    answers: int


@dataclass(frozen=True)
class Agreement:
    """How far reviewers agree beyond chance.

    Attributes:
        on: "preference" (which of two rationales, or neither: nominal; since their order has no meaning, each pair
            counts half in either order), or a scale (ordinal).
        alpha: Krippendorff's alpha; NaN if the answers do not vary.
        kappa: Cohen's kappa of exactly two reviewers, with linear weights on a scale; else NaN.
        units: number of pairs of rationales, or of rationales, with answers of at least two reviewers.
    """

    on: str
    alpha: Estimate
    kappa: float
    units: int


def ratings(reviews: Reviews) -> list[Rating]:
    """Return the mean rating of each model on each scale with answers."""
    found = []
    for model in reviews.models:
        for scale in SCALES:
            units = [unit for of, unit in _rated(reviews, scale.name).items() if of.model == model]
            if units:
                means = [1 + sum(said.values()) / len(said) for _, said in units]
                totals = cluster_sums([disease for disease, _ in units], [(mean, 1.0) for mean in means])
                mean = estimate(totals, bounds=(1.0, float(len(scale.levels))))
                answers = sum(len(said) for _, said in units)
                found.append(Rating(model, scale.name, mean, len(scale.levels), len(units), answers))
    return found


def agreements(reviews: Reviews, found: Sequence[Compared]) -> list[Agreement]:
    """Return the agreement on preferences and on each scale that two reviewers answered."""
    preferred: dict[Hashable, tuple[str, dict[str, int]]] = {}
    for one in found:
        unit = preferred.setdefault((one.question, one.models), (one.disease, {}))
        unit[1][one.reviewer] = round(2 * (1 - one.preferred))
    judged: list[tuple[str, list[Unit], int, Level]] = [("preference", list(preferred.values()), 3, "nominal")]
    for scale in SCALES:
        judged.append((scale.name, list(_rated(reviews, scale.name).values()), len(scale.levels), "ordinal"))
    results = []
    for on, units, values, level in judged:
        if several := [unit for unit in units if len(unit[1]) > 1]:
            results.append(_agreement(on, several, values, level))
    return results


def _rated(reviews: Reviews, scale: str) -> dict[Reviewed, Unit]:
    """Return the ratings of each rationale on a scale."""
    units: dict[Reviewed, tuple[str, dict[str, int]]] = {}
    for one in reviews.judgements:
        if scale in one.numbers:
            units.setdefault(one.of, (one.of.disease, {}))[1][one.reviewer] = one.numbers[scale] - 1
    return dict(units)


def _agreement(on: str, units: Sequence[Unit], values: int, level: Level) -> Agreement:
    def reliability(sums: Values) -> Values:
        return alpha(sums.reshape(*sums.shape[:-1], values, values), level)

    counts = np.array([coincidences(list(said.values()), values) for _, said in units])
    reviewers = sorted({reviewer for _, said in units for reviewer in said})
    table = np.zeros((values, values))
    if len(reviewers) == 2:
        for _, said in units:
            table[said[reviewers[0]], said[reviewers[1]]] += 1
    if level == "nominal":
        counts, table = (counts + counts[:, ::-1, ::-1]) / 2, (table + table[::-1, ::-1]) / 2
    totals = cluster_sums([disease for disease, _ in units], counts.reshape(-1, values**2))
    found = estimate(totals, reliability, (-1.0, 1.0))
    return Agreement(on, found, float(kappa(table, level)), len(units))
