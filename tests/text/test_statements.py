import pytest

from kedrec.text.statements import states_treatment

DISEASE, DRUG = ("Asthma", "Bronchial Asthma"), ("Salbutamol", "Albuterol")


@pytest.mark.parametrize(
    "text",
    [
        "Salbutamol relieves asthma.",
        "Wheeze comes and goes. In bronchial asthma, albuterol is the standard reliever.",
        "A trial of salbutamol: children with asthma responded within minutes.",
        "Asthma is treated with salbutamol, not with sedatives.",
    ],
)
def test_a_sentence_that_says_that_the_drug_helps_is_told(text):
    assert states_treatment(text, DISEASE, DRUG)


@pytest.mark.parametrize(
    "text",
    [
        "Salbutamol widens airways. Asthma narrows them and is treated.",  # two sentences, neither says it
        "Salbutamol was ineffective in asthma.",
        "Salbutamol showed no benefit in asthma.",
        "In asthma salbutamol is not recommended alone.",
        "Asthma and salbutamol were recorded in the register.",  # both named, nothing said
        "Budesonide treats asthma.",
        "Salbutamolate treats asthma.",  # another word
        "",
    ],
)
def test_a_sentence_that_does_not_is_not(text):
    assert not states_treatment(text, DISEASE, DRUG)
