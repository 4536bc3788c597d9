from dataclasses import replace

import pytest

from kedrec.kedrec_lm.chat_encoding import Shown
from kedrec.kedrec_lm.question_batches import Question
from kedrec.kedrec_lm.robustness_audits import AUDITS, Names, answer_stating_passages, counterfactual_question

NAMES = Names(("Asthma",), (("Salbutamol", "Albuterol"), ("Warfarin", "Coumadin")))
QUESTION = Question(
    pair="Disease::1|Compound::1|Compound::2",
    disease="Asthma",
    drugs=("Salbutamol", "Warfarin"),
    correct=0,
    swapped=False,
    reference="",
    passages=(),
    heuristics={"degree": (1.0, 2.0)},
)
TELLING = Shown("T1", "trials", "Salbutamol", "Albuterol treats asthma. Warfarin was withheld.")
QUIET = Shown("T2", "trials", "Warfarin", "Warfarin thins blood; salbutamol does not.")
ARTICLE = Shown("A1", "pmc", "Salbutamol", "Salbutamol widens airways.")
OTHER = Shown("A2", "pmc", "Warfarin", "Coumadin needs monitoring.")
SHOWN = [TELLING, QUIET, ARTICLE, OTHER]


def swapped(question=QUESTION, names=NAMES):
    return (
        replace(question, drugs=question.drugs[::-1], correct=1 - question.correct, swapped=True),
        Names(names.disease, names.drugs[::-1]),
    )


def test_the_passage_that_states_the_answer_is_found_in_both_orders():
    assert answer_stating_passages(QUESTION, SHOWN, NAMES) == ["T1"]
    question, names = swapped()
    assert answer_stating_passages(question, SHOWN, names) == ["T1"]


def test_a_passage_that_states_it_of_the_wrong_drug_does_not_state_the_answer():
    wrong = replace(TELLING, text="Warfarin treats asthma.")
    assert answer_stating_passages(QUESTION, [wrong, QUIET], NAMES) == []
    assert counterfactual_question("without_stated_answers", QUESTION, [wrong, QUIET], NAMES) is None


def test_without_these_passages_no_drug_is_recognised_by_a_lack_of_passages():
    _, shown = counterfactual_question("without_stated_answers", QUESTION, SHOWN, NAMES)
    assert shown == [ARTICLE, OTHER]  # the other drug's passage of that source went too


def test_closed_book_shows_nothing():
    question, shown = counterfactual_question("closed_book", QUESTION, SHOWN, NAMES)
    assert shown == []
    assert question.audit == "closed_book"
    assert question.drugs == QUESTION.drugs


def test_exchanged_passages_say_of_each_drug_what_was_said_of_the_other():
    _, shown = counterfactual_question("passages_exchanged", QUESTION, SHOWN, NAMES)
    assert shown[0] == replace(TELLING, drug="Warfarin", text="Warfarin treats asthma. Salbutamol was withheld.")
    assert shown[1] == replace(QUIET, drug="Salbutamol", text="Salbutamol thins blood; Warfarin does not.")
    assert [one.id for one in shown] == [one.id for one in SHOWN]


def test_masked_names_are_nowhere_and_a_drug_keeps_its_alias_in_both_orders():
    question, shown = counterfactual_question("names_masked", QUESTION, SHOWN, NAMES)
    again, names = swapped()
    other, _ = counterfactual_question("names_masked", again, SHOWN, names)
    said = " ".join([*question.drugs, *(one.drug + one.text for one in shown)]).lower()
    assert not any(name in said for name in ("salbutamol", "albuterol", "warfarin", "coumadin"))
    assert other.drugs == question.drugs[::-1]
    assert len(set(question.drugs)) == 2
    assert {one.drug for one in shown} == set(question.drugs)
    assert question.correct == QUESTION.correct


def test_aliases_of_one_number_are_told_apart(monkeypatch):
    monkeypatch.setattr("kedrec.kedrec_lm.robustness_audits._CODES", 1)
    question, _ = counterfactual_question("names_masked", QUESTION, [], NAMES)
    again, names = swapped()
    other, _ = counterfactual_question("names_masked", again, [], names)
    assert len(set(question.drugs)) == 2
    assert other.drugs == question.drugs[::-1]


def test_names_that_both_drugs_go_by_and_tiny_ones_stay():
    shared = Names(("Asthma",), (("Salbutamol", "Inhaler", "S"), ("Warfarin", "inhaler")))
    _, shown = counterfactual_question(
        "names_masked", QUESTION, [replace(TELLING, text="S. An inhaler of salbutamol.")], shared
    )
    assert shown[0].text.startswith("S. An inhaler of Drug-")


@pytest.mark.parametrize(
    "text",
    [
        "Interferon beta 1a helps.",
        "interferon-beta-1a helps.",
        "Interferon\nbeta (1a) helps.",
        "Rebifs help, rebif's and REBIF-treated.",
        "After fluoro uracil and fluorouracils.",
        "Heparinized and heparinised lines; heparinisation.",
        "Hepar\N{LATIN SMALL LETTER DOTLESS I}n helps.",  # a pattern that ignores case takes it for an i
    ],
)
def test_a_name_is_hidden_however_it_is_spelt(text):
    drugs = (("Interferon beta-1a", "Rebif"), ("Heparin", "Fluoro-uracil", "Fluorouracil"))
    question = replace(QUESTION, drugs=("Interferon beta-1a", "Heparin"))
    shown = [replace(TELLING, drug="Heparin", text=text)]
    _, hidden = counterfactual_question("names_masked", question, shown, Names(("Asthma",), drugs))
    assert not any(part in hidden[0].text.casefold() for part in ("beta", "rebif", "uracil", "hepar"))
    assert "Drug-" in hidden[0].text


def test_a_disease_called_after_a_drug_keeps_its_name():
    names = Names(("Iron deficiency anemia",), (("Iron",), ("Warfarin",)))
    question = replace(QUESTION, disease="Iron deficiency anemia", drugs=("Iron", "Warfarin"))
    shown = [replace(TELLING, drug="Iron", text="Iron-deficiency anemia responds to iron.")]
    hidden, (told,) = counterfactual_question("names_masked", question, shown, names)
    assert (hidden.disease, told.text) == (question.disease, f"Iron-deficiency anemia responds to {hidden.drugs[0]}.")
    _, (other,) = counterfactual_question("passages_exchanged", question, shown, names)
    assert other.text == "Iron-deficiency anemia responds to Warfarin."


@pytest.mark.parametrize("audit", AUDITS)
def test_a_question_counterfactual_question_is_marked_and_ruled_by_nothing(audit):
    question, _ = counterfactual_question(audit, QUESTION, SHOWN, NAMES)
    assert (question.audit, question.heuristics, question.pair) == (audit, {}, QUESTION.pair)


@pytest.mark.parametrize("audit", ["without_stated_answers", "closed_book", "passages_exchanged"])
def test_without_passages_there_is_nothing_else_to_ask(audit):
    assert counterfactual_question(audit, QUESTION, [], NAMES) is None
