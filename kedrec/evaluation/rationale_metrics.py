"""Metrics of the rationale against the teacher's."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from rouge_score.rouge_scorer import RougeScorer

from kedrec.evaluation.bootstrap import cluster_sums, figure
from kedrec.evaluation.choice_metrics import disease_of
from kedrec.text.citations import cited, without_citations

ROUGE = ("rouge1", "rouge2", "rougeL")


def rationale_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the metrics of the rationales, each with its 95 % interval over diseases, ``NAME_low`` and ``NAME_high``.

    ROUGE is Google's ``rouge-score`` (F-measure, Porter stemmer, sentences not split), times 100, with citations
    taken out of both sides, so that settings with and without passages compare.

    Args:
        rows: predictions; those with a ``rationale`` count, with ``pair``, ``reference`` and ``passages``.

    Returns:
        ``rouge1``, ``rouge2``, ``rougeL``: 0 to 100. ``citation_validity``: share of the citations whose number is that
        of a passage shown, NaN if nothing was cited. ``citing_rationales``: share of rationales with at least one valid
        citation. ``rationale_words``: mean length, words. Nothing where there is no rationale.
    """
    explained = [row for row in rows if "rationale" in row]
    if not explained:
        return {}
    scorer = RougeScorer(ROUGE, use_stemmer=True)
    totals = cluster_sums([disease_of(row) for row in explained], [_sums(row, scorer) for row in explained])
    found: dict[str, float] = {}
    for place, name in enumerate(ROUGE):
        found |= figure(name, totals[:, [place, -1]], bounds=(0.0, 100.0))
    valid, made, citing, words, rationales = range(len(ROUGE), totals.shape[1])
    return {
        **found,
        **figure("citation_validity", totals[:, [valid, made]]),
        **figure("citing_rationales", totals[:, [citing, rationales]]),
        **figure("rationale_words", totals[:, [words, rationales]], bounds=(0.0, inf)),
    }


def _sums(row: Mapping[str, Any], scorer: RougeScorer) -> list[float]:
    """Return a rationale's ROUGE, valid citations, citations, whether one is valid, words, and 1."""
    bare, reference = (without_citations(row[key]) for key in ("rationale", "reference"))
    scores = scorer.score(reference, bare)
    numbers = cited(row["rationale"])
    shown = {str(number) for number in range(1, len(row["passages"]) + 1)}
    good = [number for number in numbers if number in shown]
    rouge = [100 * scores[name].fmeasure for name in ROUGE]
    return [*rouge, len(good), len(numbers), bool(good), len(bare.split()), 1]
