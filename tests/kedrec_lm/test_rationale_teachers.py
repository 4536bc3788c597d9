"""Recorded and extractive teachers."""

import json

import pytest

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.rationale_cases import Case, Evidence
from kedrec.kedrec_lm.rationale_teachers import ExtractiveTeacher, RecordedTeacher
from kedrec.text.citations import cited

CASE = Case(
    "d",
    "x",
    "y",
    {"d": ("asthma",), "x": ("salbutamol", "albuterol"), "y": ("propranolol",)},
    (
        Evidence("P-1", ("Asthma narrows airways.", "Albuterol opens them [see 3].")),
        Evidence("P-2", ("Salbutamol is the reliever used in asthma.",)),
        Evidence("P-3", ("Propranolol slows the heart.",)),
    ),
)


@pytest.fixture(params=["recorded", "extractive"])
def teacher(request, tmp_path):
    if request.param == "extractive":
        return ExtractiveTeacher()
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({"disease": "d", "relevant": "x", "irrelevant": "y", "rationale": "Because [P-2]."}))
    return RecordedTeacher(path)


def test_every_teacher_cites_passages_of_the_case_only(teacher):
    found = cited(teacher.explain(CASE))
    assert found
    assert set(found) <= {"P-1", "P-2", "P-3"}


def test_the_extractive_teacher_quotes_the_sentence_that_names_both_first():
    text = ExtractiveTeacher().explain(CASE)
    assert cited(text) == ["P-2", "P-1", "P-3"]
    assert "Salbutamol is the reliever used in asthma [P-2]." in text
    assert "opens them (see 3)" in text
    assert "On propranolol: Propranolol slows the heart [P-3]." in text


def test_the_extractive_teacher_says_when_nothing_is_known():
    assert "No passage shown connects propranolol with asthma" in ExtractiveTeacher().explain(
        Case(CASE.disease, CASE.relevant, CASE.irrelevant, CASE.names, ())
    )


def test_a_case_that_was_not_recorded_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / "r.jsonl").write_text("")
    with pytest.raises(KedrecError, match=r"no rationale for d, x against y; .*extractive"):
        RecordedTeacher(tmp_path / "r.jsonl").explain(CASE)


def test_a_broken_line_is_named(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"disease": "d"}\n')
    with pytest.raises(KedrecError, match=r"r\.jsonl: line 1: expected an object"):
        RecordedTeacher(tmp_path / "r.jsonl")
