"""Old names of metrics, fields, audits and test sets are read under their present names."""

import pytest

from kedrec.evaluation.renamed_results import (
    RENAMED_AUDITS,
    RENAMED_FIELDS,
    RENAMED_METRICS,
    metric_name,
    renamed_metrics,
    renamed_rows,
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("test/control_degree", "test/heuristic_degree"),
        ("base/control_nearest_passage_low", "base/heuristic_nearest_passage_low"),
        ("test/control_embeddings_pairs", "test/heuristic_embeddings_pairs"),
        ("test/control_agreement_high", "test/agreement_with_nearest_passage_high"),
        ("test/control_most_frequent/visits", "test/heuristic_most_frequent/visits"),
        ("test/control_last_visit/jaccard_low", "test/heuristic_last_visit/jaccard_low"),
        ("test/faithful_reference_low", "test/all_citations_supported_reference_low"),
        ("test/pairs_untold/typed/degree/100-999/mrr", "test/pairs_leak_free/typed/degree/100-999/mrr"),
        ("test/diseases_untold/n", "test/diseases_leak_free/n"),
        ("test/f1_low", "test/f1_low"),
        ("test/unknown_to_base_pairs", "test/unknown_to_base_pairs"),
        ("test/pairs/all/hits@10_low", "test/pairs/all/hits@10_low"),
        ("validation/loss", "validation/loss"),
    ],
)
def test_parts_are_renamed_and_endings_stay(old, new):
    assert metric_name(old) == new
    assert metric_name(new) == new


def test_no_present_name_is_an_old_one():
    for table in (RENAMED_METRICS, RENAMED_FIELDS, RENAMED_AUDITS):
        assert not table.keys() & set(table.values())
        assert len(set(table.values())) == len(table)


def test_values_and_their_order_stay():
    old = {"base/f1": 0.5, "test/flagged": 0.25, "test/citing": 1.0}
    assert list(renamed_metrics(old).items()) == [
        ("base/f1", 0.5),
        ("test/answer_stated", 0.25),
        ("test/citing_rationales", 1.0),
    ]


def test_rows_are_renamed():
    rows = [
        {"pair": "a", "controls": {"degree": [1.0, 2.0]}, "telling": ["P1"], "audit": ""},
        {"pair": "a", "audit": "blinded"},
        {"set": "pairs_untold", "typed": 3.0},
        {"visit": 1, "outside": 2},
    ]
    assert renamed_rows(rows) == [
        {"pair": "a", "heuristics": {"degree": [1.0, 2.0]}, "answer_stating_passages": ["P1"], "audit": ""},
        {"pair": "a", "audit": "names_masked"},
        {"set": "pairs_leak_free", "typed": 3.0},
        {"visit": 1, "unlabelled": 2},
    ]
