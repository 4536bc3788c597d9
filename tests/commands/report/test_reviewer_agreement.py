"""Agreement against worked examples in print, and against what it must be by its definition."""

import itertools

import numpy as np
import pytest

from kedrec.commands.report.reviewer_agreement import alpha, coincidences, kappa

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): examples A, B and C.
BINARY = ("0100000010", "1110010000")
NOMINAL = ("aabbdcccedda", "babbbccceddd")
FOUR = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


def krippendorff_alpha(units, values, level):
    return float(
        alpha(np.sum([*(coincidences(unit, values) for unit in units), np.zeros((values,) * 2)], axis=0), level)
    )


def cohen_kappa(first, second, values, level):
    table = np.zeros((values, values))
    np.add.at(table, (np.array(first, int), np.array(second, int)), 1)
    return float(kappa(table, level))


def units(rows, letters):
    return [[letters.index(row[at]) for row in rows if row[at] != "."] for at in range(len(rows[0]))]


@pytest.mark.parametrize(
    ("rows", "letters", "level", "printed"),
    [
        (BINARY, "01", "nominal", 0.095),
        (NOMINAL, "abcde", "nominal", 0.692),
        (FOUR, "12345", "nominal", 0.743),
        (FOUR, "12345", "ordinal", 0.815),
    ],
)
def test_alpha_is_that_of_the_printed_examples(rows, letters, level, printed):
    assert krippendorff_alpha(units(rows, letters), len(letters), level) == pytest.approx(printed, abs=5e-4)


def test_the_printed_coincidence_matrix():
    found = sum(coincidences(unit, 5) for unit in units(FOUR, "12345"))
    printed = [
        [7, 4 / 3, 1 / 3, 1 / 3, 0],
        [4 / 3, 10, 4 / 3, 1 / 3, 0],
        [1 / 3, 4 / 3, 8, 1 / 3, 0],
        [1 / 3, 1 / 3, 1 / 3, 4, 0],
        [0, 0, 0, 0, 3],
    ]
    assert found == pytest.approx(np.array(printed))


def test_alpha_of_chance_is_0_and_of_agreement_1():
    draw = np.random.default_rng(0)
    chance = draw.integers(3, size=(4000, 3)).tolist()
    for level in ("nominal", "ordinal"):
        assert krippendorff_alpha(chance, 3, level) == pytest.approx(0, abs=0.03)
        assert krippendorff_alpha([[value] * 3 for value in (0, 1, 2, 1)], 3, level) == 1


def test_a_value_that_stands_alone_says_nothing():
    given = [[0, 1], [1, 1], [2, 2]]
    assert krippendorff_alpha([*given, [2], []], 3, "ordinal") == krippendorff_alpha(given, 3, "ordinal")


def test_only_ranks_tell_near_from_far():
    near, far = ([[0, 0], [1, 1], [2, 2], [0, other]] for other in (1, 2))
    assert krippendorff_alpha(near, 3, "ordinal") > krippendorff_alpha(far, 3, "ordinal") + 0.1
    assert cohen_kappa(*zip(*near, strict=True), 3, "ordinal") > cohen_kappa(*zip(*far, strict=True), 3, "ordinal")
    assert krippendorff_alpha(near, 3, "nominal") == pytest.approx(krippendorff_alpha(far, 3, "nominal"))


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
def test_without_variation_agreement_is_not_defined(level):
    assert np.isnan(krippendorff_alpha([[1, 1], [1, 1]], 3, level))
    assert np.isnan(krippendorff_alpha([], 3, level))
    assert np.isnan(cohen_kappa([1, 1], [1, 1], 3, level))
    assert np.isnan(cohen_kappa([], [], 3, level))


def test_alpha_of_many_matrices_is_that_of_each():
    matrices = np.random.default_rng(1).integers(0, 9, size=(4, 2, 3, 3)).astype(float)
    matrices += matrices.swapaxes(-1, -2)
    for level in ("nominal", "ordinal"):
        found = alpha(matrices, level)
        assert found.shape == (4, 2)
        for place in itertools.product(range(4), range(2)):
            assert found[place] == pytest.approx(alpha(matrices[place], level))


def table(counts):
    """Two reviewers' values that make a table of counts."""
    return zip(*((i, j) for i, row in enumerate(counts) for j, n in enumerate(row) for _ in range(n)), strict=True)


def test_kappa_is_that_of_worked_examples():
    # 50 grant applications, two readers: 20 both for, 15 both against, 5 and 10 apart: (0.7 - 0.5) / (1 - 0.5).
    assert cohen_kappa(*table([[20, 5], [10, 15]]), 2, "nominal") == pytest.approx(0.4)
    # The same share of agreement, other margins.
    assert cohen_kappa(*table([[45, 15], [25, 15]]), 2, "nominal") == pytest.approx(0.1304, abs=5e-5)
    assert cohen_kappa(*table([[25, 35], [5, 35]]), 2, "nominal") == pytest.approx(0.2593, abs=5e-5)


def test_kappa_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    draw = np.random.default_rng(2)
    first = draw.integers(4, size=200)
    second = np.where(draw.random(200) < 0.6, first, draw.integers(4, size=200))
    for level, weights in (("nominal", None), ("ordinal", "linear")):
        known = metrics.cohen_kappa_score(first, second, weights=weights)
        assert cohen_kappa(first, second, 4, level) == pytest.approx(known)
