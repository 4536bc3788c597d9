"""Which model's rationales reviewers prefer: by pairs of models, and one order of all.

A reviewer prefers of two rationales of a question the one of the better rank; equal ranks count half for each. The
reviewers of a question are averaged first, so that a question counts once however many reviewed it.
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
_STEPS = 10_000  # of the ascent, which ends where a step changes nothing
_SMALL = 1e-10


@dataclass(frozen=True)
class Estimate:
    """A number with the bounds of its 95 % interval, diseases resampled whole; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Compared:
    """Two rationales of one question, ranked by one reviewer.

    Attributes:
        reviewer: who.
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
        models: the two.
        share: of the questions, in which the first is preferred.
        questions: with both ranked by a reviewer.
        diseases: of these.
        won: diseases in which the first is preferred on average.
        lost: in which the second is.
        p: two-sided sign test over diseases, which are independent where questions of one disease are not.
        p_holm: the same, adjusted for as many tests as there are pairs of models (Holm, 1979).
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
    """Where a model stands among all.

    Attributes:
        model: its name.
        share: of its comparisons with others, in which it is preferred.
        strength: of Bradley and Terry, in log odds against an average model; NaN where there is no finite one.
    """

    model: str
    share: Estimate
    strength: float


def estimate(totals: Values, function: Function = ratio, bounds: tuple[float, float] = (0.0, 1.0)) -> Estimate:
    """Return a number made of sums, ``(diseases, k)``; ``function`` and ``bounds`` as in `bootstrap.interval`."""
    return Estimate(float(function(totals.sum(0))), *interval(totals, function, bounds))


def compared(reviews: Reviews) -> list[Compared]:
    """Return all comparisons that the ranks make."""
    ranked: dict[tuple[str, str, str], dict[str, int]] = {}
    for one in reviews.judgements:
        if RANK in one.numbers:
            of = one.of
            ranked.setdefault((one.reviewer, of.question, of.disease), {})[of.model] = one.numbers[RANK]
    found = []
    for asked, ranks in ranked.items():
        for first, second in combinations([model for model in reviews.models if model in ranks], 2):
            preferred = (1 + np.sign(ranks[second] - ranks[first])) / 2
            found.append(Compared(*asked, (first, second), float(preferred)))
    return found


def preferences(found: Sequence[Compared]) -> list[Preference]:
    """Return the preference of each pair of models that was compared."""
    told = []
    for pair, shares in _shares(found).items():
        totals = _totals(shares)
        lead = totals[:, 0] / totals[:, 1] - 0.5
        won, lost = int((lead > _SMALL).sum()), int((lead < -_SMALL).sum())
        p = _sign_test(won, lost)
        told.append(Preference(pair, estimate(totals), len(shares), len(totals), won, lost, p, p))
    adjusted = _holm([one.p for one in told])
    return [replace(one, p_holm=p) for one, p in zip(told, adjusted, strict=True)]


def standings(found: Sequence[Compared], models: Sequence[str]) -> list[Standing]:
    """Return the models that were compared, the most preferred first."""
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
    told = [
        Standing(model, estimate(_totals(own[model])), float(strength))
        for model, strength in zip(models, strengths, strict=True)
    ]
    return sorted(told, key=lambda one: -one.share.value)


def bradley_terry(wins: Values) -> Values:
    """Return the log strengths, ``(models,)``, of mean 0, under which comparisons come out likeliest as they did.

    The odds of the first against the second are the ratio of their strengths: Bradley and Terry (1952), by the steps of
    Hunter (2004, equation 3), which climb to the maximum. There is a finite one only if no group of models won all
    comparisons with the others (Ford, 1957): NaN else.

    Args:
        wins: ``(models, models)``, how often the row's model was preferred to the column's; a half for a tie.
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
    """Return of each pair of models, a question each, the disease and the share of reviewers who prefer the first."""
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
