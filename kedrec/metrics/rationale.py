"""Metrics of the rationale against the teacher's."""

from collections.abc import Mapping, Sequence
from typing import Any

from rouge_score.rouge_scorer import RougeScorer

from kedrec.citations import cited, without_citations

ROUGE = ("rouge1", "rouge2", "rougeL")


def rationale_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the metrics of the rationales.

    ROUGE is Google's ``rouge-score`` (F-measure, Porter stemmer, sentences not split), times 100, with citations
    taken out of both sides, so that settings with and without passages compare.

    Args:
        rows: predictions; those with a ``rationale`` count, with ``reference`` and ``passages``.

    Returns:
        ``rouge1``, ``rouge2``, ``rougeL``: 0 to 100. ``citation_validity``: share of the citations that name a passage
        that was shown, 1.0 if nothing was cited. ``citing``: share of rationales with at least one valid citation.
        ``rationale_words``: mean length, words.
    """
    scorer = RougeScorer(ROUGE, use_stemmer=True)
    explained = [row for row in rows if "rationale" in row]
    totals = dict.fromkeys(ROUGE, 0.0)
    made = valid = citing = words = 0
    for row in explained:
        bare, reference = (without_citations(row[key]) for key in ("rationale", "reference"))
        for name, score in scorer.score(reference, bare).items():
            totals[name] += 100 * score.fmeasure
        numbers = cited(row["rationale"])
        good = [number for number in numbers if number.isdigit() and 1 <= int(number) <= len(row["passages"])]
        made, valid, citing = made + len(numbers), valid + len(good), citing + bool(good)
        words += len(bare.split())
    count = max(len(explained), 1)
    return {
        **{name: total / count for name, total in totals.items()},
        "citation_validity": valid / made if made else 1.0,
        "citing": citing / count,
        "rationale_words": words / count,
    }
