"""Names of metrics, of test sets and of the fields of a test's rows that are other names now.

The results of an old run folder are translated when they are read. This is the only list of the old names.
"""

from collections.abc import Mapping, Sequence
from typing import Any

RENAMED_METRICS = {
    "control_nearest_passage": "heuristic_nearest_passage",
    "control_degree": "heuristic_degree",
    "control_most_frequent_drug": "heuristic_most_frequent_drug",
    "control_literature_count": "heuristic_literature_count",
    "control_embeddings": "heuristic_embeddings",
    "control_most_frequent": "heuristic_most_frequent",
    "control_last_visit": "heuristic_last_visit",
    "control_agreement": "agreement_with_nearest_passage",
    "flagged": "answer_stated",
    "f1_without_flagged": "f1_without_stated_answers",
    "known_closed_book": "closed_book_consistent_accuracy",
    "evidence_followed": "evidence_sensitivity",
    "name_followed": "name_bias",
    "position_followed": "position_bias",
    "f1_blinded": "f1_names_masked",
    "memorised": "parametric_knowledge",
    "citing": "citing_rationales",
    "citation_misattributed": "citation_misattribution",
    "faithful": "all_citations_supported",
    "pairs_untold": "pairs_leak_free",
    "diseases_untold": "diseases_leak_free",
}
"""Old part of a metric's name, between slashes and without its ending -> present part."""

RENAMED_FIELDS = {
    "controls": "heuristics",
    "telling": "answer_stating_passages",
    "outside": "unlabelled",
}
"""Old field of a row of ``predictions.jsonl`` or ``audits.jsonl`` -> present field."""

RENAMED_AUDITS = {
    "without_flagged": "without_stated_answers",
    "exchanged": "passages_exchanged",
    "blinded": "names_masked",
}
"""Old name of a robustness audit -> present name."""

_ENDINGS = ("_low", "_high", "_pairs", "_reference")  # interval, number of pairs, the teacher's rationales


def metric_name(name: str) -> str:
    """Return the present name of a metric.

    Args:
        name: such as ``test/control_degree_low`` or ``test/pairs_untold/all/mrr``.
    """
    return "/".join(map(_part, name.split("/")))


def _part(part: str) -> str:
    if part in RENAMED_METRICS:
        return RENAMED_METRICS[part]
    for ending in _ENDINGS:
        if part.endswith(ending):
            return _part(part.removesuffix(ending)) + ending
    return part


def renamed_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics of a run, name -> number, under their present names."""
    return {metric_name(name): value for name, value in metrics.items()}


def renamed_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of a test with the present names of fields, audits and test sets.

    Args:
        rows: of a ``predictions.jsonl``, an ``audits.jsonl`` or a ``ranks.jsonl``.
    """
    return [_row(row) for row in rows]


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    found = {RENAMED_FIELDS.get(field, field): value for field, value in row.items()}
    if "audit" in found:
        found["audit"] = RENAMED_AUDITS.get(found["audit"], found["audit"])
    if "set" in found:
        found["set"] = RENAMED_METRICS.get(found["set"], found["set"])
    return found
