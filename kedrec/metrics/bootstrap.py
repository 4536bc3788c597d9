"""Confidence intervals by resampling what is independent: patients or pairs, not rows."""

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray


def bootstrap_interval(
    groups: Sequence[Hashable],
    statistic: Callable[[NDArray[np.int64]], float],
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile interval of a statistic (Efron and Tibshirani, 1993), groups resampled with replacement.

    Args:
        groups: which group each row is of; rows of one group are drawn together.
        statistic: from row numbers, which may repeat, to the figure; NaN where it is not defined, which is left out.
        draws: resamples.
        seed: of the resamples.
        level: of confidence.

    Returns:
        The lower and the upper bound; both NaN where the statistic is never defined.
    """
    numbers: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        numbers.setdefault(group, []).append(row)
    rows = [np.array(of) for of in numbers.values()]
    draw = np.random.default_rng(seed)
    chosen = draw.integers(len(rows), size=(draws, len(rows)))
    values = np.array([statistic(np.concatenate([rows[one] for one in of])) for of in chosen])
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
