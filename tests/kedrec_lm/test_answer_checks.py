"""What is made of an answer: read from any wrapping, and rejected for the right reason."""

import json

import pytest

from kedrec.kedrec_lm import answer_checks as checks
from kedrec.kedrec_lm.answer_checks import first_object, judge
from kedrec.kedrec_lm.rationale_cases import Evidence
from kedrec.kedrec_lm.teacher_prompts import RationalePrompt
from kedrec.llm.requests import Answer, Request

SHOWN = (
    Evidence("P-1", ("Inhaled beta-agonists such as albuterol relax the smooth muscle of the bronchi in asthma.",)),
    Evidence("P-2#2", ("Propranolol blocks beta receptors and may provoke bronchospasm.",)),
    Evidence("P-3", ("Gardens of the city were surveyed in spring.",)),
)
PROMPT = RationalePrompt(Request(()), "B", "asthma", ("Propranolol", "Albuterol"), SHOWN)
GOOD = "Albuterol relaxes bronchial smooth muscle [1]. Propranolol may provoke bronchospasm by blocking receptors [2]."


def said(rationale=GOOD, choice="B", confidence=0.9, **more):
    return json.dumps({"choice": choice, "rationale": rationale, "confidence": confidence, **more})


def verdict(text, finish="stop", prompt=PROMPT):
    return judge(Answer(text, 1, 1, finish), prompt)


def test_a_good_answer_is_kept_with_ids_in_place_of_numbers():
    found = verdict(said())
    assert found.reason == ""
    assert found.confidence == 0.9
    assert found.rationale == (
        "Albuterol relaxes bronchial smooth muscle [P-1]. "
        "Propranolol may provoke bronchospasm by blocking receptors [P-2#2]."
    )


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{said()}\n```",
        f"Here is my answer:\n{said()}\nI hope it helps {{sincerely}}.",
        f"<think>Is it A? {{'choice': 'A'}} {said(choice='A')}</think>\n{said()}",
        said().replace("smooth", "smooth\n"),
        said(choice="b"),
        said(choice="Albuterol"),
        said(choice="B: albuterol"),
        said(choice="Drug B"),
        said(confidence="0.9"),
        said(extra="ignored"),
        said(GOOD.replace("[1].", "[passage 1].").replace("[2]", "[Passage 2]")),
        said("{sic} " + GOOD),
    ],
)
def test_an_answer_is_read_from_its_wrapping(text):
    assert verdict(text).reason == ""


@pytest.mark.parametrize(
    "text",
    ["", "B", "{", said()[:-20], "[1, 2]", said(choice="C"), said(choice=2), said(""), said(["x"])]
    + [said(confidence=value) for value in (90, -1, "high", True, None, [1], "nan", "1e400")]
    + [said(confidence=1).replace(": 1}", ": " + "9" * 400 + "}"), "{" * 5000],
)
def test_an_answer_of_another_form_can_be_repaired(text):
    found = verdict(text)
    assert (found.reason, found.repairable) == (checks.FORM, True)
    assert found.detail


@pytest.mark.parametrize(
    ("text", "reason", "repairable"),
    [
        (said(choice="A"), checks.WRONG, False),
        (said("Albuterol relaxes the bronchi."), checks.UNCITED, False),
        (said(GOOD.replace("[2]", "[4]")), checks.UNKNOWN, True),
        (said(GOOD.replace("[2]", "[0]")), checks.UNKNOWN, True),
        (said(GOOD.replace("[2]", "[Smith 2003]")), checks.UNKNOWN, True),
        (said(GOOD.replace("[1]", "[3]")), checks.UNSUPPORTED, False),
        (said(GOOD.replace("[1]", "[1, 3]")), checks.UNSUPPORTED, False),
        (said("Albuterol is a marvellous invention of modern chemistry [1]."), checks.UNSUPPORTED, False),
    ],
)
def test_a_fault_has_its_reason(text, reason, repairable):
    found = verdict(text)
    assert (found.reason, found.repairable, found.rationale) == (reason, repairable, "")


def test_a_refused_question_is_rejected_with_the_words_of_the_server():
    found = verdict("too long", finish="refused")
    assert (found.reason, found.detail, found.repairable) == (checks.NO_ANSWER, "too long", False)


def test_an_answer_cut_short_is_told_to_be_brief():
    assert "be brief" in verdict(said()[:40], finish="length").detail


def test_a_citation_after_the_full_stop_belongs_to_the_sentence_before():
    text = "Albuterol relaxes bronchial smooth muscle.[1] Propranolol may provoke bronchospasm. [2][2]"
    found = verdict(said(text))
    assert found.rationale == (
        "Albuterol relaxes bronchial smooth muscle [P-1]. Propranolol may provoke bronchospasm [P-2#2]."
    )


def test_letters_are_replaced_by_names():
    found = verdict(said("Drug B relaxes bronchial smooth muscle [1], unlike option A."))
    assert found.rationale == "Albuterol relaxes bronchial smooth muscle [P-1], unlike Propranolol."


def test_without_passages_nothing_needs_to_be_cited_and_nothing_may():
    bare = RationalePrompt(Request(()), "B", "asthma", ("Propranolol", "Albuterol"), ())
    assert verdict(said("Albuterol opens the airways."), prompt=bare).reason == ""
    assert verdict(said("Albuterol opens the airways [1]."), prompt=bare).reason == checks.UNKNOWN


def test_objects_are_found_in_any_text_without_a_fault():
    assert first_object('x {"a": {"b": 1}} y') == {"a": {"b": 1}}
    assert first_object('{bad} {"a": 1}') == {"a": 1}
    assert first_object("no") is None
