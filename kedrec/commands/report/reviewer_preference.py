"""Preferences of reviewers between the models' rationales: by pairs of models, and as one order of all models.

Of two rationales of a question a reviewer prefers the one with the better rank; equal ranks count half for each. The
reviewers of a question are averaged first, so that each question counts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from kedrec.commands.report.review_answers import Reviews
from kedrec.commands.report.review_form import RANK
from kedrec.evaluation.bootstrap import Function, cluster_sums, interval, ratio

Values = NDArray[np.float64]
_STEPS = 10_000  # most steps of the ascent, which ends when a step changes nothing
_SMALL = 1e-10


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, diseases resampled; NaN if it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Compared:
    """Two rationales of one question, ranked by one reviewer.

    Attributes:
        reviewer: name of the reviewer.
        question: its id in the sheet.
        disease: id of the question's disease.
        models: the two, in the order of the key.
        preferred: 1 for the first, 0 for the second, 0.5 for equal ranks.
    """

    reviewer: str
    question: str
    disease: str
    models: tuple[str, str]
    preferred: float


@dataclass(frozen=True)
class Preference:
    """How often the rationales of one model are preferred to another's.

    Attributes:
        models: the two models.
        share: share of the questions in which the first is preferred.
        questions: number of questions with both ranked by a reviewer.
        diseases: number of their diseases.
        won: number of diseases in which the first is preferred on average.
        lost: number of diseases in which the second is preferred.
        p: p value of a two-sided sign test over diseases; questions on one disease are not independent.
        p_holm: ``p`` adjusted for the number of pairs of models (Holm, 1979).
    """

    models: tuple[str, str]
    share: Estimate
    questions: int
    diseases: int
    won: int
    lost: int
    p: float
    p_holm: float


@dataclass(frozen=True)
class Standing:
    """The position of a model among all models.

    Attributes:
        model: name of the model.
        share: share of its comparisons in which it is preferred.
        strength: Bradley-Terry strength, log odds against an average model; NaN if it is not finite.
    """

    model: str
    share: Estimate
    strength: float


def estimate(totals: Values, function: Function = ratio, bounds: tuple[float, float] = (0.0, 1.0)) -> Estimate:
    """Return a function of sums ``(diseases, k)`` with its interval; arguments as in `bootstrap.interval`."""
    return Estimate(float(function(totals.sum(0))), *interval(totals, function, bounds))


def compared(reviews: Reviews) -> list[Compared]:
    """Return the comparisons that follow from the ranks."""
    ranked: dict[tuple[str, str, str], dict[str, int]] = {}
    for one in reviews.judgements:
        if RANK in one.numbers:
            of = one.of
            ranked.setdefault((one.reviewer, of.question, of.disease), {})[of.model] = one.numbers[RANK]
    found = []
    for unit, ranks in ranked.items():
        for first, second in combinations([model for model in reviews.models if model in ranks], 2):
            preferred = (1 + np.sign(ranks[second] - ranks[first])) / 2
            found.append(Compared(*unit, (first, second), float(preferred)))
    return found


def preferences(found: Sequence[Compared]) -> list[Preference]:
    """Return the preference within each compared pair of models."""
    results = []
    for pair, shares in _shares(found).items():
        totals = _totals(shares)
        lead = totals[:, 0] / totals[:, 1] - 0.5
        won, lost = int((lead > _SMALL).sum()), int((lead < -_SMALL).sum())
        p = _sign_test(won, lost)
        results.append(Preference(pair, estimate(totals), len(shares), len(totals), won, lost, p, p))
    adjusted = _holm([one.p for one in results])
    return [replace(one, p_holm=p) for one, p in zip(results, adjusted, strict=True)]


def standings(found: Sequence[Compared], models: Sequence[str]) -> list[Standing]:
    """Return the compared models, the most preferred first."""
    shares = _shares(found)
    models = [model for model in models if any(model in pair for pair in shares)]
    wins = np.zeros((len(models), len(models)))
    own: dict[str, list[tuple[str, float]]] = {model: [] for model in models}
    for (first, second), each in shares.items():
        won = sum(share for _, share in each)
        wins[models.index(first), models.index(second)] = won
        wins[models.index(second), models.index(first)] = len(each) - won
        own[first] += each
        own[second] += [(disease, 1 - share) for disease, share in each]
    strengths = bradley_terry(wins)
    results = [
        Standing(model, estimate(_totals(own[model])), float(strength))
        for model, strength in zip(models, strengths, strict=True)
    ]
    return sorted(results, key=lambda one: -one.share.value)


def bradley_terry(wins: Values) -> Values:
    """Return the maximum-likelihood log strengths of a Bradley-Terry model, ``(models,)``, with mean 0.

    The odds of the first against the second are the ratio of their strengths (Bradley and Terry, 1952); the likelihood
    is maximised by the steps of Hunter (2004, equation 3). A finite maximum exists only if no group of models won all
    comparisons with the others (Ford, 1957); else the result is NaN.

    Args:
        wins: ``(models, models)``, number of times the row's model was preferred to the column's, ties counted half.
    """
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    if connected_components(wins > 0, connection="strong")[0] > 1:
        return np.full(len(wins), np.nan)
    played = wins + wins.T
    log = np.zeros(len(wins))
    for _ in range(_STEPS):
        strength = np.exp(log)
        after: Values = np.log(wins.sum(1) / (played / (strength[:, None] + strength)).sum(1))
        after -= after.mean()
        if np.abs(after - log).max() < _SMALL:
            break
        log = after
    return log


def _shares(found: Sequence[Compared]) -> dict[tuple[str, str], list[tuple[str, float]]]:
    """Return for each pair of models and question the disease and the share of reviewers who prefer the first."""
    each: dict[tuple[str, str], dict[tuple[str, str], list[float]]] = {}
    for one in found:
        each.setdefault(one.models, {}).setdefault((one.disease, one.question), []).append(one.preferred)
    return {pair: [(disease, sum(said) / len(said)) for (disease, _), said in of.items()] for pair, of in each.items()}


def _totals(shares: Sequence[tuple[str, float]]) -> Values:
    """Return sum and number of the shares of each disease, ``(diseases, 2)``."""
    return cluster_sums([disease for disease, _ in shares], [(share, 1.0) for _, share in shares])


def _sign_test(won: int, lost: int) -> float:
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def _holm(raw: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number."""
    adjusted, reached = [0.0] * len(raw), 0.0
    for rank, place in enumerate(sorted(range(len(raw)), key=lambda place: raw[place])):
        reached = max(reached, min(1.0, raw[place] * (len(raw) - rank)))
        adjusted[place] = reached
    return adjusted
