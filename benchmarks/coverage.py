"""How often 95 % intervals hold the truth: simulated test sets of few, unequal diseases, by kind of metric and method.

    python benchmarks/coverage.py [--sets 1000] [--diseases 13 30 100]

A disease has 1 to 15 pairs, few as often as not, and its own difficulty: its answers are alike. What is simulated is a
metric's sums a disease; the truth is the metric of 300,000 diseases. Of each method the table says in how many per
cent of the sets its interval holds the truth, and how wide it is on average. ``shipped`` is
`kedrec.evaluation.bootstrap.interval`; of the others, which are here to compare, none but its union with bootstrap-t
has a width at the bounds.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, ndtri
from scipy.stats import t as student

from kedrec.evaluation.bootstrap import Bounds, Function, Values, interval, ratio, resampled
from kedrec.evaluation.choice_metrics import f1_of

MOST = 15  # pairs of a disease
LAST = 10_000  # the worst rank
Rng = np.random.Generator
Marks = NDArray[np.bool_]


@dataclass(frozen=True)
class Population:
    """A kind of metric, and what the diseases of which test sets are drawn add to its sums.

    Attributes:
        name: of the kind.
        draw: from ``(…)`` wanted diseases to their sums ``(…, k)``.
        function: from sums to the metric.
        bounds: of the metric.
    """

    name: str
    draw: Callable[[Rng, tuple[int, ...]], Values]
    function: Function = ratio
    bounds: Bounds = (0.0, 1.0)

    @cached_property
    def truth(self) -> float:
        """The metric of 300,000 diseases."""
        draw = np.random.default_rng(1)
        return float(self.function(sum(self.draw(draw, (20_000,)).sum(0) for _ in range(15))))

    def sets(self, number: int, diseases: int, seed: int = 0) -> Values:
        """Return the sums of some test sets, ``(number, diseases, k)``."""
        return self.draw(np.random.default_rng(seed), (number, diseases))


def asked(draw: Rng, shape: tuple[int, ...]) -> Marks:
    """Return which of 15 places of each disease hold a pair: ``(…, 15)``."""
    sizes = np.arange(1, MOST + 1)
    chance = sizes**-0.8
    return np.arange(MOST) < draw.choice(sizes, size=shape, p=chance / chance.sum())[..., None]


def difficulty(draw: Rng, shape: tuple[int, ...], disease: float, pair: float) -> Values:
    """Return normal numbers ``(…, 15)`` with parts of the disease and of the pair, of these standard deviations."""
    return disease * draw.normal(size=(*shape, 1)) + pair * draw.normal(size=(*shape, MOST))


def chances(level: float, spread: Values, disease: float, pair: float = 1.0) -> Values:
    """Return chances of being right that are ``level`` in the mean, or nearly so."""
    return expit(logit(level) * np.sqrt(1 + (disease**2 + pair**2) / 2.9) + spread)


def right_answers(draw: Rng, there: Marks, chance: Values) -> Marks:
    """Return which of the answers in both orders are right, ``(…, 15, 2)``."""
    return (draw.random((*there.shape, 2)) < chance[..., None]) & there[..., None]


def accuracy(level: float, disease: float) -> Callable[[Rng, tuple[int, ...]], Values]:
    """Return draws of a share of right answers, both orders."""

    def of(draw: Rng, shape: tuple[int, ...]) -> Values:
        there = asked(draw, shape)
        right = right_answers(draw, there, chances(level, difficulty(draw, shape, disease, 1.0), disease))
        return np.stack([right.sum((-1, -2)), 2 * there.sum(-1)], -1).astype(float)

    return of


def f1_columns(right: Marks, first: Marks, there: Marks) -> Values:
    """Return the sums of `f1_of`; ``first`` says which pairs have the relevant drug first in their first order."""
    answer = np.stack([first, ~first], -1)  # whether the first position is the right one, by order
    chosen = np.where(right, answer, ~answer)
    counted = there[..., None]
    hits = [(right & side).sum((-1, -2)) for side in (answer, ~answer)]
    named = [
        ((side & counted).sum((-1, -2)) + (of & counted).sum((-1, -2)))
        for side, of in zip((answer, ~answer), (chosen, ~chosen), strict=True)
    ]
    return np.stack([*hits, *named], -1).astype(float)


def macro_f1(*levels: float, disease: float) -> Callable[[Rng, tuple[int, ...]], Values]:
    """Return draws of the macro F1 over two orders, of one run or of two on the same pairs."""

    def of(draw: Rng, shape: tuple[int, ...]) -> Values:
        there, first = asked(draw, shape), draw.random((*shape, MOST)) < 0.5
        common = difficulty(draw, shape, disease, 1.0)
        columns = []
        for level in levels:
            own = difficulty(draw, shape, 0.4, 0.0) if len(levels) > 1 else 0.0
            right = right_answers(draw, there, chances(level, common + own, disease))
            columns.append(f1_columns(right, first, there))
        return np.concatenate(columns, -1)

    return of


def f1_difference(sums: Values) -> Values:
    """Return the F1 of the first of two runs less that of the second."""
    return f1_of(sums[..., :4]) - f1_of(sums[..., 4:])


def share(level: float, disease: float) -> Callable[[Rng, tuple[int, ...]], Values]:
    """Return draws of a share of the pairs, such as the flip rate."""

    def of(draw: Rng, shape: tuple[int, ...]) -> Values:
        there = asked(draw, shape)
        chance = chances(level, difficulty(draw, shape, disease, 1.0), disease)
        return np.stack([((draw.random(there.shape) < chance) & there).sum(-1), there.sum(-1)], -1).astype(float)

    return of


def rouge(draw: Rng, shape: tuple[int, ...]) -> Values:
    """Return a mean of 35 with standard deviations of 5 between diseases and of 10 within."""
    there = asked(draw, shape)
    each = np.clip(35 + difficulty(draw, shape, 5, 10), 0, 100)
    return np.stack([(each * there).sum(-1), there.sum(-1)], -1)


def ranked(
    middle: float, disease: float, pair: float, metric: Callable[[Values], Values]
) -> Callable[[Rng, tuple[int, ...]], Values]:
    """Return draws of the mean of a metric of ranks, which are log-normal about a median."""

    def of(draw: Rng, shape: tuple[int, ...]) -> Values:
        there = asked(draw, shape)
        rank = np.minimum(1 + np.floor(middle * np.exp(difficulty(draw, shape, disease, pair))), LAST)
        return np.stack([(metric(rank) * there).sum(-1), there.sum(-1)], -1)

    return of


POPULATIONS = {
    one.name: one
    for one in (
        *(Population(f"accuracy {level}", accuracy(level, 1.0)) for level in (0.6, 0.8, 0.93, 0.99)),
        Population("accuracy 0.93, diseases alike", accuracy(0.93, 0.3)),
        *(Population(f"macro F1 {level}", macro_f1(level, disease=1.0), f1_of) for level in (0.6, 0.8, 0.93)),
        *(Population(f"flip rate {level}", share(level, 0.7)) for level in (0.05, 0.15)),
        Population("ROUGE 35", rouge, bounds=(0.0, 100.0)),
        Population("MRR, median rank 6", ranked(5, 1.0, 1.5, np.reciprocal)),
        Population("MRR, median rank 21", ranked(20, 1.0, 1.5, np.reciprocal)),
        Population("MRR, median rank 201", ranked(200, 1.0, 2.0, np.reciprocal)),
        Population("hits@10, median rank 51", ranked(50, 1.0, 1.5, lambda rank: (rank <= 10).astype(float))),
        Population("mean rank, median 21", ranked(20, 1.0, 1.5, np.positive), bounds=(1.0, float(LAST))),
        *(
            Population(f"F1 {one} less {other}", macro_f1(one, other, disease=1.0), f1_difference, (-1.0, 1.0))
            for one, other in ((0.8, 0.8), (0.9, 0.8))
        ),
    )
}


def percentile(totals: Values, function: Function, bounds: Bounds) -> Bounds:
    """Return the middle 95 % of the resamples (Efron, 1979)."""
    low, high = np.nanquantile(function(resampled(len(totals)) @ totals), [0.025, 0.975])
    return float(low), float(high)


def expanded(totals: Values, function: Function, bounds: Bounds) -> Bounds:
    """Return the expanded percentile interval (Hesterberg, 2015)."""
    from kedrec.evaluation.bootstrap import resampled_interval

    return resampled_interval(totals, function)


def bca(totals: Values, function: Function, bounds: Bounds) -> Bounds:
    """Return the interval corrected for bias and acceleration (Efron, 1987)."""
    values, whole = function(resampled(len(totals)) @ totals), totals.sum(0)
    below = (values < function(whole)).mean() + (values == function(whole)).mean() / 2
    alone = function(whole - totals)
    apart = alone.mean() - alone
    scale = 6 * np.square(apart).sum() ** 1.5
    skew = (apart**3).sum() / scale if scale > 0 else 0.0
    shift = ndtri(np.clip(below, 0.001, 0.999))
    levels = [ndtr(shift + (shift + z) / (1 - skew * (shift + z))) for z in (-1.96, 1.96)]
    low, high = np.nanquantile(values, levels)
    return float(low), float(high)


def jackknife(totals: Values, function: Function, bounds: Bounds) -> Bounds:
    """Return Student's interval with the jackknife's standard error (Tukey, 1958)."""
    clusters, whole = len(totals), totals.sum(0)
    alone = function(whole - totals)
    error = np.sqrt((clusters - 1) / clusters * np.square(alone - alone.mean()).sum())
    half = float(student.ppf(0.975, clusters - 1) * error)
    return float(function(whole)) - half, float(function(whole)) + half


def studentized(totals: Values, function: Function, bounds: Bounds) -> Bounds:
    """Return the bootstrap-t interval (Efron, 1982), with standard errors by the infinitesimal jackknife."""
    clusters, counts = len(totals), resampled(len(totals))
    products = (totals[:, :, None] * totals[:, None, :]).reshape(clusters, -1)

    def error(sums: Values, moments: Values) -> Values:
        width = sums.shape[-1]
        steps = np.eye(width) * 1e-5 * (sums.mean(-1)[..., None, None] + 1e-9)
        slopes = np.stack([(function(sums + s) - function(sums - s)) for s in np.moveaxis(steps, -2, 0)], -1)
        slopes = slopes / (2e-5 * (sums.mean(-1)[..., None] + 1e-9))
        centred = moments.reshape(*sums.shape, width) - sums[..., :, None] * sums[..., None, :] / clusters
        variance = np.einsum("...i,...ij,...j->...", slopes, centred, slopes) * clusters / (clusters - 1)
        return np.sqrt(np.maximum(variance, 0))

    value, own = function(totals.sum(0)), error(totals.sum(0), products.sum(0))
    errors = error(counts @ totals, counts @ products)
    ratios = (function(counts @ totals) - value)[errors > 1e-9] / errors[errors > 1e-9]
    if not len(ratios):
        return float(value), float(value)
    low, high = np.nanquantile(ratios, [0.025, 0.975])
    return float(value - high * own), float(value - low * own)


def studentized_log(totals: Values, function: Function, bounds: Bounds) -> Bounds:
    """Return the bootstrap-t interval of the logarithm of the distance from the lower bound."""
    low, width = bounds[0], bounds[1] - bounds[0]

    def log_of(sums: Values) -> Values:
        return np.log(np.clip((function(sums) - low) / width, 1e-9, 1))

    below, above = studentized(totals, log_of, bounds)
    return low + width * float(np.exp(below)), low + width * float(np.exp(above))


def wider(totals: Values, function: Function, bounds: Bounds) -> Bounds:
    """Return the span of the interval that is shipped and the bootstrap-t one."""
    one, other = interval(totals, function, bounds), studentized(totals, function, bounds)
    return min(one[0], other[0]), max(one[1], other[1])


METHODS: dict[str, Callable[[Values, Function, Bounds], Bounds]] = {
    "percentile": percentile,
    "expanded": expanded,
    "BCa": bca,
    "bootstrap-t": studentized,
    "bootstrap-t, log": studentized_log,
    "jackknife t": jackknife,
    "shipped": interval,
    "shipped and bootstrap-t": wider,
}


def coverage(population: Population, method: str, sets: int, diseases: int, seed: int = 0) -> tuple[float, float]:
    """Return the share of simulated test sets whose interval holds the truth, and the mean width.

    Args:
        population: of the diseases.
        method: one of `METHODS`.
        sets: how many are simulated.
        diseases: of each.
        seed: of the simulation.
    """
    truth, (least, most) = population.truth, population.bounds
    found = [
        METHODS[method](one, population.function, population.bounds) for one in population.sets(sets, diseases, seed)
    ]
    low, high = np.clip(np.array(found).T, least, most)
    return float(((low <= truth) & (truth <= high)).mean()), float((high - low).mean())


def table(sets: int, diseases: int) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield f"| {diseases} diseases | " + " | ".join(METHODS) + " |"
    yield "|---" * (len(METHODS) + 1) + "|"
    for population in POPULATIONS.values():
        cells = [coverage(population, method, sets, diseases) for method in METHODS]
        yield (
            f"| {population.name} | " + " | ".join(f"{100 * held:.1f} % ({width:.3g})" for held, width in cells) + " |"
        )


def main() -> None:
    """Print a table for each number of diseases: coverage, and the mean width in brackets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--diseases", type=int, nargs="+", default=[13, 30, 100])
    options = parser.parse_args()
    for diseases in options.diseases:
        for line in table(options.sets, diseases):
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
