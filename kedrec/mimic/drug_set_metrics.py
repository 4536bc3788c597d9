"""Metrics of recommended drug sets, as SafeDrug (arXiv 2105.02711) has them, and heuristic baselines.

A patient's visits are averaged first and the patients then, so that a long history counts no more than a short one.
"""

from dataclasses import dataclass, replace
from math import inf
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kedrec.evaluation.bootstrap import Bounds, cluster_sums, figure

Values = NDArray[np.float64]
Marks = NDArray[np.bool_]
_FEWEST = 5  # patients from which on intervals by resampling them are given


@dataclass(frozen=True, eq=False)
class DrugSets:
    """What was recommended at visits and what was prescribed; something was at each.

    Attributes:
        patient: (visits,) running numbers.
        chosen: (visits, labels), the recommended set.
        true: (visits, labels), the prescribed set.
        outside: (visits,) how many drugs were prescribed beside those that have a label: all missed.
        scores: (visits, labels), higher for labels that are recommended first; ``None`` for a set without an order.
    """

    patient: NDArray[np.int64]
    chosen: Marks
    true: Marks
    outside: NDArray[np.int64]
    scores: Values | None

    def at(self, visits: Marks) -> Self:
        """Return the same of some visits: (visits,) bool."""
        scores = None if self.scores is None else self.scores[visits]
        return replace(
            self,
            patient=self.patient[visits],
            chosen=self.chosen[visits],
            true=self.true[visits],
            outside=self.outside[visits],
            scores=scores,
        )


def jaccard(sets: DrugSets) -> Values:
    """Return the Jaccard index of both sets, ``(visits,)``."""
    either = (sets.chosen | sets.true).sum(1) + sets.outside
    shared: Values = (sets.chosen & sets.true).sum(1) / either
    return shared


def f1(sets: DrugSets) -> Values:
    """Return the harmonic mean of precision and recall, ``(visits,)``."""
    sizes = sets.chosen.sum(1) + sets.true.sum(1) + sets.outside
    mean: Values = 2 * (sets.chosen & sets.true).sum(1) / sizes
    return mean


def average_precision(sets: DrugSets) -> Values:
    """Return the area under each visit's precision-recall curve, ``(visits,)``; labels of one score come together.

    The sum over thresholds of precision times what recall gains there, without interpolation.
    """
    assert sets.scores is not None
    found = np.empty(len(sets.true))
    for visit, (scores, true) in enumerate(zip(sets.scores, sets.true, strict=True)):
        order = np.argsort(-scores, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
        right = np.cumsum(true[order])[ends]
        gained = np.diff(right, prepend=0) / (true.sum() + sets.outside[visit])
        found[visit] = (right / (ends + 1) * gained).sum()
    return found


def interacting_pairs(chosen: Marks, interactions: Marks) -> tuple[Values, Values]:
    """Return how many pairs of each set interact, and how many there are: ``(visits,)`` each."""
    held = chosen.astype(float)
    sizes = held.sum(1)
    return ((held @ interactions) * held).sum(1) / 2, sizes * (sizes - 1) / 2


def drug_set_metrics(sets: DrugSets, interactions: Marks | None, intervals: bool = True) -> dict[str, float]:
    """Return the metrics of recommended sets.

    Args:
        sets: of visits.
        interactions: (labels, labels), symmetric without a diagonal; ``None`` where unknown: there is no rate then.
        intervals: whether each has its 95 % interval over patients beside it, ``NAME_low`` and ``NAME_high``, where
            there are patients enough.

    Returns:
        ``jaccard``, ``f1``, ``prauc`` where there are scores, ``ddi_rate`` (share of interacting pairs among all pairs
        of all sets) where there is a pair, and ``drugs`` (mean size of a set), over all visits alike as in the paper.
    """
    share = _share(sets.patient)
    each = {"jaccard": jaccard(sets), "f1": f1(sets)}
    if sets.scores is not None:
        each["prauc"] = average_precision(sets)
    ratios = {name: (values * share, share) for name, values in each.items()}
    if interactions is not None and (sets.chosen.sum(1) > 1).any():
        ratios["ddi_rate"] = interacting_pairs(sets.chosen, interactions)
    ratios["drugs"] = (sets.chosen.sum(1).astype(float), np.ones(len(share)))
    found: dict[str, float] = {}
    for name, (above, below) in ratios.items():
        bounds = (0.0, inf if name == "drugs" else 1.0)
        found |= _figure(name, sets.patient, above, below, intervals, bounds)
    return found


def prescribed_metrics(sets: DrugSets, interactions: Marks | None) -> dict[str, float]:
    """Return ``prescribed_drugs`` and, where it is known, ``prescribed_ddi_rate``, of the prescribed drugs."""
    given = drug_set_metrics(replace(sets, chosen=sets.true, scores=None), interactions, intervals=False)
    given["drugs"] += float(sets.outside.mean())
    return {f"prescribed_{name}": given[name] for name in ("ddi_rate", "drugs") if name in given}


def most_frequent(sets: DrugSets, share: Values, drugs: float) -> DrugSets:
    """Return the baseline that recommends the same labels to all: as many as a training visit has, the most frequent.

    Args:
        sets: of the test visits.
        share: (labels,) share of the training visits in which each was prescribed.
        drugs: mean number of labels of a training visit.
    """
    chosen = np.zeros(len(share), bool)
    chosen[np.argsort(-share, kind="stable")[: max(1, round(drugs))]] = True
    shape = sets.true.shape
    return replace(sets, chosen=np.broadcast_to(chosen, shape), scores=np.broadcast_to(share, shape))


def last_visit(sets: DrugSets) -> tuple[DrugSets, Marks]:
    """Return the baseline that recommends the drugs of the visit before, and at which visits it can.

    Args:
        sets: visits of a patient side by side, in order of time.

    Returns:
        Sets of those visits alone, and ``(visits,)`` bool, true for them.
    """
    later = np.append(False, sets.patient[1:] == sets.patient[:-1])
    before = np.roll(sets.true, 1, axis=0)
    return replace(sets, chosen=before, scores=None).at(later), later


def heuristic_metrics(sets: DrugSets, share: Values, drugs: float, interactions: Marks | None) -> dict[str, float]:
    """Return the metrics of both heuristic baselines, and by how much ``sets`` are above each.

    Args:
        sets: visits of a patient side by side, in order of time.
        share: as in `most_frequent`.
        drugs: likewise.
        interactions: as in `drug_set_metrics`.

    Returns:
        ``heuristic_BASELINE/NAME`` as `drug_set_metrics` names them, and ``heuristic_BASELINE/visits``: the number of
        visits that it covers; ``heuristic_BASELINE``: its Jaccard; ``jaccard_over_BASELINE``: the Jaccard of ``sets``
        at the same visits less that of the baseline. All with intervals. Without a second visit there is no
        ``last_visit``.
    """
    before, later = last_visit(sets)
    baselines = {"most_frequent": (most_frequent(sets, share, drugs), sets)}
    if later.any():
        baselines["last_visit"] = (before, sets.at(later))
    found: dict[str, float] = {}
    for name, (baseline, own) in baselines.items():
        metrics = drug_set_metrics(baseline, interactions)
        weight = _share(own.patient)
        lead = (jaccard(own) - jaccard(baseline)) * weight
        ends = [end for end in ("", "_low", "_high") if f"jaccard{end}" in metrics]
        found |= {f"heuristic_{name}{end}": metrics[f"jaccard{end}"] for end in ends}
        found |= _figure(f"jaccard_over_{name}", own.patient, lead, weight, True, (-1.0, 1.0))
        found |= {f"heuristic_{name}/{key}": value for key, value in metrics.items()}
        found[f"heuristic_{name}/visits"] = float(len(weight))
    return found


def _share(patient: NDArray[np.int64]) -> Values:
    """Return what each visit is of its patient's visits, ``(visits,)``: they add up to 1 a patient."""
    _, inverse, counts = np.unique(patient, return_inverse=True, return_counts=True)
    return 1 / counts[inverse]


def _figure(
    name: str, patient: NDArray[np.int64], above: Values, below: Values, intervals: bool, bounds: Bounds
) -> dict[str, float]:
    """Return a sum over visits divided by another, ``(visits,)`` each, with its interval where there is one."""
    totals = cluster_sums(patient.tolist(), np.stack([above, below], axis=1))
    found = figure(name, totals, bounds=bounds)
    return found if intervals and len(totals) >= _FEWEST else {name: found[name]}
