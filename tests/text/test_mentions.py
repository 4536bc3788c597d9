"""Who is named where, and what of a passage is shown."""

from kedrec.graph.named_graph import spoken_names
from kedrec.sources.graph.entity_names import EntityInfo
from kedrec.text.excerpt import excerpt, name_pattern
from kedrec.text.mentions import find_mentions
from kedrec.text.passage import Passage

TEXT = (
    "Airways narrow in asthma. Salbutamol relaxes them within minutes. Patients keep a diary. "
    "Propranolol is avoided in asthma because it narrows airways. Trials last weeks."
)


def _passage(text, title=""):
    return Passage("p", "p", "pmc", title, text)


def test_names_of_several_words_are_found_whatever_the_case_and_marks():
    names = {"D": ["Type 2 diabetes"], "C": ["Acetylsalicylic acid", "aspirin"], "S": ["ALS"]}
    passages = [
        _passage("In type-2 Diabetes, ASPIRIN ..."),
        _passage("als", "acetylsalicylic acid"),
        _passage("diabetes"),
    ]
    assert find_mentions(passages, names) == {"D": {0}, "C": {0, 1}}


def test_a_name_inside_a_word_is_not_named():
    assert find_mentions([_passage("asthmatic adults")], {"D": ["asthma"]}) == {}


def test_inverted_names_are_turned_and_an_entity_without_a_name_goes_by_its_id():
    assert spoken_names("D", EntityInfo("Depressive Disorder, Major", ("MDD",), "")) == (
        "Major Depressive Disorder",
        "Depressive Disorder, Major",
        "MDD",
    )
    assert spoken_names("Disease::X", None) == ("Disease::X",)


def test_an_excerpt_prefers_sentences_that_name_both_and_keeps_their_order():
    wanted = [name_pattern(["asthma"]), name_pattern(["propranolol"]), name_pattern(["salbutamol"])]
    assert excerpt(TEXT, wanted, 9) == "Propranolol is avoided in asthma because it narrows airways."
    assert excerpt(TEXT, wanted, 60) == (
        "Airways narrow in asthma. Salbutamol relaxes them within minutes. "
        "... Propranolol is avoided in asthma because it narrows airways."
    )


def test_an_excerpt_of_a_passage_that_names_nothing_is_its_first_sentence():
    assert excerpt(TEXT, [name_pattern(["warfarin"])], 60) == "Airways narrow in asthma."
