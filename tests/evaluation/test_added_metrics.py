"""Metrics from outside the package among those of a test."""

import math

import pytest

from kedrec.errors import KedrecError
from kedrec.evaluation.added_metrics import Metric, added_metrics

ROWS = [{"drugs": ("a", "b"), "choice": 0}, {"drugs": ("b", "a"), "choice": 1}]


class Named(Metric):
    """Gives its own name the number of rows."""

    def __init__(self, name):
        self.name = name

    def compute(self, rows):
        return {self.name: len(rows)}


class FirstDrugs(Metric):
    """Looks into the rows, and changes them."""

    def compute(self, rows):
        lists = all(row["drugs"] == list(row["drugs"]) for row in rows)
        share = sum(row.pop("choice") for row in rows) / len(rows)
        return {"lists": lists, "second": share, "undefined": math.nan}


class Again(FirstDrugs):
    """The same, under another name."""

    def compute(self, rows):
        return {"again": super().compute(rows)["second"]}


def test_rows_are_those_of_the_file_and_each_metric_has_its_own():
    found = added_metrics([FirstDrugs(), Again()], ROWS, {"f1"})
    assert (found["lists"], found["second"], found["again"]) == (1.0, 0.5, 0.5)
    assert math.isnan(found["undefined"])
    assert all(type(value) is float for value in found.values())
    assert ROWS[0] == {"drugs": ("a", "b"), "choice": 0}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["f1"], r"model\.init_args\.metrics: .*test_added_metrics\.Named: a metric 'f1' exists already"),
        (["one", "one"], "a metric 'one' exists already"),
        (["a/b"], "metric 'a/b'; expected a name of letters, digits and underscores"),
    ],
)
def test_a_name_that_cannot_be_is_refused(names, expected):
    with pytest.raises(KedrecError, match=expected):
        added_metrics([Named(name) for name in names], ROWS, {"f1"})
