import pytest

from kedrec.text.statements import states_treatment

OTHER = ("Warfarin", "Coumadin")
DISEASE, DRUG = ("Asthma", "Bronchial Asthma"), ("Salbutamol", "Albuterol")


@pytest.mark.parametrize(
    "text",
    [
        "Salbutamol relieves asthma.",
        "Wheeze comes and goes. In bronchial asthma, albuterol is the standard reliever.",
        "A trial of salbutamol: children with asthma responded within minutes.",
        "Asthma is treated with salbutamol, not with sedatives.",
        "Salbutamol alleviates asthma.",
        "Salbutamol was superior to placebo in asthma.",
        "Albuterol is the drug of choice in asthma.",
        "Salbutamol is beneficial in asthma.",
        "Asthma was treated with salbutamol without side effects.",  # denies no effect
        "Salbutamol is a mainstay in asthma that steroids have not cured.",
        "Salbutamol is not only effective in asthma but cheap.",
        "Salbutamol treats asthma; warfarin does not.",  # what is denied is denied of the other
        "In asthma, coumadin was ineffective, whereas albuterol was effective.",
        "Bronchial-asthma is treated with salbutamol.",
    ],
)
def test_a_sentence_that_says_that_the_drug_helps_is_told(text):
    assert states_treatment(text, DISEASE, DRUG, OTHER)


@pytest.mark.parametrize(
    "text",
    [
        "Salbutamol widens airways. Asthma narrows them and is treated.",  # two sentences, neither says it
        "Salbutamol was ineffective in asthma.",
        "Salbutamol showed no benefit in asthma.",
        "In asthma salbutamol is not recommended alone.",
        "Asthma and salbutamol were recorded in the register.",  # both named, nothing said
        "Salbutamol doesn't treat asthma.",
        "Salbutamol cannot treat asthma.",
        "Salbutamol never improved asthma.",
        "Salbutamol did not show efficacy in asthma.",
        "Salbutamol is not a treatment for asthma.",
        "Neither salbutamol nor placebo improved asthma.",
        "Salbutamol was no better than placebo in treating asthma.",
        "Salbutamol should be avoided in the treatment of asthma.",
        "Salbutamol treatment failed in asthma.",
        "Warfarin treats asthma; salbutamol does not.",
        "Warfarin treats asthma, albuterol opens airways.",
        "Budesonide treats asthma.",
        "Salbutamolate treats asthma.",  # another word
        "",
    ],
)
def test_a_sentence_that_does_not_is_not(text):
    assert not states_treatment(text, DISEASE, DRUG, OTHER)


def test_an_abbreviation_is_no_word_of_the_language():
    assert states_treatment("Salbutamol treats AS.", ("Ankylosing spondylitis", "AS"), DRUG)
    assert not states_treatment("Salbutamol is used as an inhaler.", ("Ankylosing spondylitis", "AS"), DRUG)


def test_names_are_found_as_texts_spell_them():
    assert states_treatment(
        "Interferon beta 1a treats multiple-sclerosis.", ("Multiple Sclerosis",), ("Interferon beta-1a",)
    )
