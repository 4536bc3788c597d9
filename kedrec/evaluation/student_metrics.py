"""All that the answers of a student's test say."""

from collections.abc import Mapping, Sequence
from typing import Any

from kedrec.evaluation.audit_metrics import audit_metrics
from kedrec.evaluation.calibration import calibration_metrics, fit_temperature
from kedrec.evaluation.choice_metrics import selection_metrics
from kedrec.evaluation.citation_metrics import citing_metrics
from kedrec.evaluation.rationale_metrics import rationale_metrics

Row = Mapping[str, Any]


def student_metrics(rows: Sequence[Row], audited: Sequence[Row]) -> dict[str, float]:
    """Return the metrics of choices, rationales, citations, audits and confidence, name -> number.

    Args:
        rows: predictions of the test, fields as in `kedrec.kedrec_lm.question_batches.Question`, with ``scores``,
            ``choice`` and, in the first order, ``rationale``.
        audited: of the questions asked again, and of validation's, whose ``audit`` says which they are.
    """
    found = {
        **selection_metrics(rows),
        **rationale_metrics(rows),
        **citing_metrics(rows),
        **audit_metrics(rows, [row for row in audited if row["audit"] != "validation"]),
    }
    if validation := [row for row in audited if row["audit"] == "validation"]:
        found |= calibration_metrics(rows, fit_temperature(validation))
    return found
