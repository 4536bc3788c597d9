"""Metrics that are added after the test have names of their own."""

from types import SimpleNamespace

import pytest

from kedrec.errors import KedrecError
from kedrec.training import evaluation_results
from kedrec.training.evaluation_results import EvaluationResults, answer_metrics


@pytest.mark.parametrize("name", ["mine", "citation_entailment"])
def test_a_metric_from_outside_cannot_have_the_name_of_a_later_one(name, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation_results, "answers_support", lambda *_: {"test/citation_entailment": 0.5})
    built = SimpleNamespace(data=SimpleNamespace(citation_encoder=None, entailment=None))
    results = EvaluationResults({"test/f1": 1.0, f"test/{name}": 1.0}, {"predictions": []})
    if name == "mine":
        assert answer_metrics(results, built, tmp_path) == {"test/citation_entailment": 0.5}
    else:
        with pytest.raises(KedrecError, match=r"model\.init_args\.metrics: a metric 'citation_entailment' exists"):
            answer_metrics(results, built, tmp_path)
