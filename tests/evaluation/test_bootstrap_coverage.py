"""Intervals hold the truth as often as they say, in simulated test sets; those that do not are found out."""

import pytest

from benchmarks.coverage import POPULATIONS, coverage

SETS = 1000


FEW = ("accuracy 0.6", "accuracy 0.8", "accuracy 0.93", "macro F1 0.93", "flip rate 0.15", "F1 0.9 less 0.8")
ALL = ("macro F1 0.8", "ROUGE 35", "MRR, median rank 6")


@pytest.mark.parametrize(
    ("kind", "diseases"),
    [*((kind, 13) for kind in (*FEW, *ALL)), *((kind, many) for kind in ALL for many in (30, 100))],
)
def test_95_per_cent_are_93_to_97(kind, diseases):
    held, width = coverage(POPULATIONS[kind], "shipped", SETS, diseases)
    assert 0.93 <= held <= 0.97
    least, most = POPULATIONS[kind].bounds
    assert 0 < width < 0.4 * (most - least)


@pytest.mark.parametrize("kind", ["accuracy 0.93", "macro F1 0.8", "ROUGE 35"])
def test_the_middle_of_the_resamples_is_not_enough(kind):
    held, _ = coverage(POPULATIONS[kind], "percentile", SETS, 13)
    assert held < 0.93


def test_near_the_bound_intervals_are_wide_rather_than_wrong():
    """Where one set in five is all right, its middle of the resamples is nothing but 1."""
    held, _ = coverage(POPULATIONS["accuracy 0.99"], "shipped", SETS, 13)
    assert held >= 0.93
    assert coverage(POPULATIONS["accuracy 0.99"], "percentile", SETS, 13)[0] < 0.7
