"""Intervals of the link-prediction metrics: answers of one disease are resampled together."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kedrec.evaluation.bootstrap import Values, interval


def rank_intervals(values: Mapping[str, Values], disease: NDArray[np.int64], last: int) -> dict[str, float]:
    """Return the 95 % intervals of the means over the answers, ``NAME_low`` and ``NAME_high``.

    Args:
        values: metrics of single answers as `kedrec.evaluation.filtered_ranks.rank_metrics` names them,
            ``(answers,)`` each.
        disease: ``(answers,)``, the disease of each answer.
        last: the worst rank there can be.
    """
    place = np.unique(disease, return_inverse=True)[1]
    answers = np.bincount(place)
    found: dict[str, float] = {}
    for name, each in values.items():
        bounds = (1.0, float(last)) if name == "mr" else (0.0, 1.0)
        low, high = interval(np.stack([np.bincount(place, each), answers], axis=1), bounds=bounds)
        found |= {f"{name}_low": low, f"{name}_high": high}
    return found
