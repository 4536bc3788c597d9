"""Agreement between reviewers beyond chance: Krippendorff's alpha and Cohen's kappa.

Both are functions of counts that are summed over the rated units, so that diseases are resampled by their sums.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Level = Literal["nominal", "ordinal"]


def coincidences(unit: Sequence[int], values: int) -> Values:
    """Return the contribution of one rated unit to the coincidence matrix, ``(values, values)``.

    Each ordered pair of reviewers counts 1 / (m - 1), with m values given: Krippendorff, "Computing Krippendorff's
    Alpha-Reliability" (2011), section C.

    Args:
        unit: the values given, from 0, in any order; fewer than two contribute nothing.
        values: number of possible values.
    """
    if len(unit) < 2:
        return np.zeros((values, values))
    counts = np.bincount(unit, minlength=values).astype(np.float64)
    found: Values = (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    return found


def alpha(matrix: Values, level: Level) -> Values:
    """Return Krippendorff's alpha of sums of coincidences, ``(…, values, values)`` to ``(…)``.

    ``1 - (n - 1) sum(o_ck d_ck) / sum(n_c n_k d_ck)``, Krippendorff (2011), sections C and D; d is 1 between any two
    values, or for ranks ``(n_c / 2 + ... + n_k / 2)^2``, the ends halved. It is 1 for perfect agreement, 0 for
    agreement by chance, and NaN if all values are equal.
    """
    totals = matrix.sum(-1)
    if level == "nominal":
        apart = np.broadcast_to(1.0 - np.eye(matrix.shape[-1]), matrix.shape)
    else:
        middle = np.cumsum(totals, axis=-1) - totals / 2
        apart = (middle[..., :, None] - middle[..., None, :]) ** 2
    observed = (matrix * apart).sum((-1, -2))
    expected = (totals[..., :, None] * totals[..., None, :] * apart).sum((-1, -2))
    ratio = np.divide(observed, expected, out=np.full(np.shape(observed), np.nan), where=expected > 0)
    found: Values = 1 - (totals.sum(-1) - 1) * ratio
    return found


def kappa(table: Values, level: Level) -> Values:
    """Return Cohen's kappa of counts, first by second of two reviewers, ``(…, values, values)`` to ``(…)``.

    Cohen, "A coefficient of agreement for nominal scales" (1960), equation 1; for ranks "Weighted kappa" (1968) with
    linear weights. NaN if both reviewers always give one and the same value.
    """
    places = np.arange(table.shape[-1])
    apart = np.abs(places[:, None] - places).astype(np.float64)
    if level == "nominal":
        apart = (apart > 0).astype(np.float64)
    whole = table.sum((-1, -2))
    chance = table.sum(-1)[..., :, None] * table.sum(-2)[..., None, :]
    observed, expected = (table * apart).sum((-1, -2)) * whole, (chance * apart).sum((-1, -2))
    ratio: Values = np.divide(observed, expected, out=np.full(np.shape(observed), np.nan), where=expected > 0)
    return 1 - ratio
