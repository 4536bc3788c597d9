"""Calibration of the choice between two drugs, and the gain of abstaining.

The margin of a pair is the difference of the two drugs' log-probabilities, nats, averaged over both orders, which
cancels a preference for a position. The drug with the positive margin is chosen, with the confidence
``sigmoid(|margin| / temperature)``: temperature scaling (Guo et al., ICML 2017) of a binary choice.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, expit  # type: ignore[import-untyped]

from kedrec.evaluation.bootstrap import Values, cluster_sums, figure, resampled_interval
from kedrec.evaluation.choice_metrics import disease_of

_TEMPERATURES = (0.01, 1000.0)  # nats; margins of log-probabilities lie between
_DIGITS = 9  # of a margin: margins that differ by rounding have equal confidence
_MOST_BINS = 10
_PAIRS_A_BIN = 20  # a bin's share of right choices then has a standard error of about 0.1


def confidence(scores_by_order: Sequence[Sequence[float]], temperature: float) -> float:
    """Return the confidence of the choice between two drugs, 0.5 to 1.

    Args:
        scores_by_order: ``(orders, 2)``, for each order of the question the log-probabilities of the answers for the
            two drugs, with the same drug first.
        temperature: as `fit_temperature` returns it, nats.
    """
    return float(expit(abs(margin(scores_by_order)) / temperature))


def margin(scores_by_order: Sequence[Sequence[float]]) -> float:
    """Return the difference of the two log-probabilities, nats, averaged over the orders."""
    return sum(one - other for one, other in scores_by_order) / len(scores_by_order)


def fit_temperature(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the temperature with the least mean negative log-likelihood on validation, nats.

    As in Platt (1999), the target probability of the relevant drug is ``(n + 1) / (n + 2)`` for ``n`` pairs, not 1: the
    temperature stays finite if all choices are right, and few pairs allow no great confidence. If the mean margin
    favours the irrelevant drug, the greatest temperature, 1,000, makes each confidence 0.5. Without any pair in both
    orders the temperature is 1: the model's own probabilities.

    Args:
        rows: predictions on validation, two a pair, with ``pair``, ``scores``, ``correct`` and ``swapped``.
    """
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    _, margins = _margins(rows)
    if not len(margins):
        return 1.0
    least, most = _TEMPERATURES
    if margins.mean() <= 0:  # the loss falls with the temperature, without end
        return most
    target = (len(margins) + 1) / (len(margins) + 2)

    def loss(log_temperature: float) -> float:
        scaled = margins / math.exp(log_temperature)
        return float((target * np.logaddexp(0, -scaled) + (1 - target) * np.logaddexp(0, scaled)).mean())

    found = minimize_scalar(loss, bounds=(math.log(least), math.log(most)), method="bounded", options={"xatol": 1e-6})
    return math.exp(found.x)


def calibration_metrics(rows: Sequence[Mapping[str, Any]], temperature: float) -> dict[str, float]:
    """Return how well the confidence is calibrated, and how well it separates right from wrong choices.

    Args:
        rows: predictions, two a pair, as `fit_temperature` takes them; pairs with one order only are left out.
        temperature: of the confidence, nats.

    Returns:
        ``temperature``, unchanged. ``ece``: expected calibration error, the mean absolute difference of confidence and
        accuracy over ``ece_bins`` bins with equal numbers of pairs: at most 10 bins, of 20 pairs or more. Bins of equal
        width would be almost empty in a small test set (Nixon et al., 2019). Chance alone makes it positive: its lower
        bound subtracts the 97.5 % quantile of the resampled differences, and is 0 if the error may be due to chance.
        ``brier``: mean squared distance of the relevant drug's probability from 1; 0.25 for a guess. ``aurc``: area
        under the risk-coverage curve, see `risk_coverage` (Geifman, Uziel and El-Yaniv, ICLR 2019): mean share of wrong
        choices over all coverages; about the overall share if confidence is uninformative. Each has its 95 % interval
        ``_low``, ``_high``, resampled by disease with the temperature fixed. Without a pair only the temperature.
    """
    diseases, margins = _margins(rows)
    if not len(margins):
        return {"temperature": temperature}
    sure, right, bins = _binned(margins, temperature, None)
    count = int(bins.max()) + 1
    squares = np.square(expit(-margins / temperature))
    brier = cluster_sums(diseases, np.stack([squares, np.ones_like(squares)], axis=1))
    return {
        "temperature": temperature,
        **_ece(cluster_sums(diseases, _gaps(sure - right, bins, count))),
        "ece_bins": float(count),
        **figure("brier", brier),
        **_aurc(diseases, margins),
    }


def reliability(
    rows: Sequence[Mapping[str, Any]], temperature: float, bins: int | None = None
) -> tuple[Values, Values, NDArray[np.int64]]:
    """Return mean confidence, share of right choices and number of pairs of each bin, bins ascending.

    Args:
        rows: as `calibration_metrics` takes them.
        temperature: of the confidence, nats.
        bins: number of bins with equal numbers of pairs; equal confidences share a bin, so that there may be fewer.
            ``None`` takes those of ``ece``.
    """
    _, margins = _margins(rows)
    sure, right, place = _binned(margins, temperature, bins)
    count = np.bincount(place)
    return np.bincount(place, sure) / count, np.bincount(place, right) / count, count


def risk_coverage(rows: Sequence[Mapping[str, Any]]) -> tuple[Values, Values]:
    """Return the risk-coverage curve (Geifman and El-Yaniv, NeurIPS 2017), pair by pair.

    Args:
        rows: as `calibration_metrics` takes them. The order of confidences is that of ``|margin|``, whatever the
            temperature.

    Returns:
        Coverages ``1/n ... 1``, the share of the pairs that are answered, most confident first; and for each the risk,
        the share of wrong choices among them. Pairs of equal confidence enter together, each with their mean risk.
    """
    _, margins = _margins(rows)
    level, number = _levels(margins)
    count, wrong = np.bincount(level, minlength=number), np.bincount(level, _wrong(margins), minlength=number)
    spoken = np.arange(1, len(margins) + 1)
    errors = np.interp(spoken, np.cumsum([0, *count]), np.cumsum([0, *wrong]))
    return spoken / max(len(margins), 1), errors / spoken


def _margins(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], Values]:
    """Return disease and margin, positive for the relevant drug, of each pair with both orders."""
    by_pair: dict[str, dict[bool, tuple[float, float]]] = {}
    for row in rows:
        scores, correct = row["scores"], row["correct"]
        by_pair.setdefault(row["pair"], {})[row["swapped"]] = (scores[correct], scores[1 - correct])
    both = {pair: orders for pair, orders in by_pair.items() if len(orders) == 2}
    diseases = [disease_of({"pair": pair}) for pair in both]
    margins = np.array([margin(list(orders.values())) for orders in both.values()], dtype=np.float64)
    return diseases, margins.round(_DIGITS)


def _wrong(margins: Values) -> Values:
    """Return 1 for a wrong choice, 1/2 for a tie, else 0."""
    return (1 - np.sign(margins)) / 2


def _binned(margins: Values, temperature: float, bins: int | None) -> tuple[Values, Values, NDArray[np.int64]]:
    """Return confidence, right (0 to 1) and bin of each pair."""
    wanted = bins or min(_MOST_BINS, max(1, len(margins) // _PAIRS_A_BIN))
    sure = expit(np.abs(margins) / temperature)
    if not len(sure):
        return sure, sure, np.empty(0, dtype=np.int64)
    level, size = np.unique(np.abs(margins), return_inverse=True, return_counts=True)[1:]
    middle = np.cumsum(size) - size / 2  # those of one level go where the middle one of them belongs
    place = (middle * wanted / len(margins)).astype(np.int64)[level]
    return sure, 1 - _wrong(margins), np.unique(place, return_inverse=True)[1]


def _gaps(gap: Values, bins: NDArray[np.int64], count: int) -> Values:
    """Return the summands of `_ece` of each pair: 1, and its gap in the column of its bin."""
    sums = np.zeros((len(gap), count + 1))
    sums[:, 0] = 1
    sums[np.arange(len(gap)), bins + 1] = gap
    return sums


def _ece(totals: Values) -> dict[str, float]:
    gaps = totals[:, 1:].sum(0) / totals[:, 0].sum()

    def error(sums: Values) -> Values:
        return np.asarray(np.abs(sums[..., 1:]).sum(-1) / sums[..., 0])

    def chance(sums: Values) -> Values:
        """The absolute differences of resampled and observed gaps, an upper bound of the difference of the ``ece``."""
        return np.asarray(np.abs(sums[..., 1:] / sums[..., :1] - gaps).sum(-1))

    found = float(np.abs(gaps).sum())
    if len(totals) < 2:
        return {"ece": found, "ece_low": 0.0, "ece_high": 1.0}
    low, high = found - resampled_interval(totals, chance)[1], resampled_interval(totals, error)[1]
    return {"ece": found, "ece_low": max(0.0, low), "ece_high": high}


def _levels(margins: Values) -> tuple[NDArray[np.int64], int]:
    """Return the index of each pair's ``|margin|`` among the distinct ones, greatest first, and their number."""
    values, place = np.unique(-np.abs(margins), return_inverse=True)
    return place, len(values)


def _aurc(diseases: Sequence[str], margins: Values) -> dict[str, float]:
    """Return the area, a function of two sums at each level of confidence: of pairs, and of wrong choices."""
    level, number = _levels(margins)
    cluster = np.unique(diseases, return_inverse=True)[1]
    totals = np.zeros((int(cluster.max()) + 1, 2 * number))
    np.add.at(totals, (cluster, level), 1.0)
    np.add.at(totals, (cluster, number + level), _wrong(margins))
    return figure("aurc", totals, lambda sums: np.apply_along_axis(_area, -1, sums))


def _area(sums: Values) -> float:
    """Return the mean risk over all coverages ``k / n``.

    Args:
        sums: ``(2 * levels,)``, of each level of confidence, the greatest first, the number of pairs and of wrong ones.
            As many as ``c`` after ``C`` of the levels above, with ``e`` after ``E`` wrong, have the risks
            ``(E + j e/c) / (C + j)``, ``j = 1 ... c``, whose sum is ``e + (E - C e/c) (H(C + c) - H(C))`` with the
            harmonic numbers ``H``.
    """
    count, wrong = np.split(sums, 2)
    count, wrong = count[count > 0], wrong[count > 0]
    above, errors = np.cumsum(count) - count, np.cumsum(wrong) - wrong
    harmonic = digamma(above + count + 1) - digamma(above + 1)
    return float((wrong + (errors - above * wrong / count) * harmonic).sum() / count.sum())
