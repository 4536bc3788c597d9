"""All metrics of a student's test, and the few that summarise it."""

from collections.abc import Mapping, Sequence
from typing import Any

from kedrec.evaluation.audit_metrics import audit_metrics
from kedrec.evaluation.calibration import calibration_metrics, fit_temperature
from kedrec.evaluation.choice_metrics import choice_metrics
from kedrec.evaluation.citation_metrics import citation_metrics
from kedrec.evaluation.rationale_metrics import rationale_metrics

Row = Mapping[str, Any]

_NEAREST = "heuristic_nearest_passage"


def student_metrics(rows: Sequence[Row], audited: Sequence[Row]) -> dict[str, float]:
    """Return the metrics of choices, rationales, citations, audits and confidence, name -> number.

    Args:
        rows: predictions of the test, fields as in `kedrec.kedrec_lm.question_batches.Question`, with ``scores``,
            ``choice`` and, in the first order, ``rationale``.
        audited: predictions of the counterfactual questions and of the validation questions; ``audit`` says which.
    """
    found = {
        **choice_metrics(rows),
        **rationale_metrics(rows),
        **citation_metrics(rows),
        **audit_metrics(rows, [row for row in audited if row["audit"] != "validation"]),
    }
    if validation := [row for row in audited if row["audit"] == "validation"]:
        found |= calibration_metrics(rows, fit_temperature(validation))
    return found


def summary_metrics(metrics: Mapping[str, float]) -> list[str]:
    """Return the names, without ``base/`` and ``test/``, of the metrics that summarise a student's test.

    They are F1 of the choice, two heuristic baselines, flip rate, evidence sensitivity, ROUGE-L, supported citations
    and calibration error; those that the test has. The second baseline is the most accurate one beside the nearest
    passage that has an answer for all pairs.

    Args:
        metrics: of the run, ``base/NAME`` and ``test/NAME`` -> number.
    """
    baselines = {
        name: value
        for path, value in metrics.items()
        if (name := path.removeprefix("test/")).startswith("heuristic_")
        and not name.endswith(("_low", "_high", "_pairs"))
        and f"{path}_pairs" not in metrics
        and name != _NEAREST
    }
    best = [max(baselines, key=baselines.__getitem__)] if baselines else []
    names = ["f1", _NEAREST, *best, "flip_rate", "evidence_sensitivity", "rougeL", "citation_support", "ece"]
    return [name for name in names if f"test/{name}" in metrics or f"base/{name}" in metrics]
