"""Rationales held against what they cite: planted ones that must not pass, and clean ones that must."""

import pytest

from kedrec.evaluation.citation_metrics import checked_citations, citation_metrics

PASSAGES = {
    "P-1": "Inhaled beta-agonists such as albuterol relax the smooth muscle of the bronchi in asthma.",
    "P-2": "Propranolol blocks beta receptors and may provoke bronchospasm.",
    "P-3": "Gardens of the city were surveyed in spring; asthma, albuterol and propranolol were named.",
    "P-4": "Hydrochlorothiazide contracts plasma volume at first.",
}
CLEAN = "Albuterol relaxes bronchial smooth muscle [1]. Propranolol may provoke bronchospasm by blocking receptors [2]."


def explained(rationale, disease="asthma", passages=tuple(PASSAGES), texts=None, reference=CLEAN):
    return {
        "pair": f"Disease::{disease}|Compound::albuterol|Compound::propranolol",
        "disease": disease,
        "drugs": ("Albuterol", "Propranolol"),
        "passages": passages,
        "texts": tuple(PASSAGES[name] for name in passages) if texts is None else texts,
        "rationale": rationale,
        "reference": reference,
    }


def test_a_clean_rationale_is_faithful():
    found = citation_metrics([explained(CLEAN), {"reference": "asked in the other order, without a rationale"}])
    assert (found["citation_support"], found["all_citations_supported"]) == (1, 1)
    assert (found["citation_support_reference"], found["all_citations_supported_reference"]) == (1, 1)


@pytest.mark.parametrize(
    "written",
    ["5", "0", "9", "-1", "abc", "²", "1-3", "01", "P-1", "9" * 5000],
)
def test_a_citation_to_nothing_trips(written):
    row = explained(CLEAN.replace("[2]", f"[{written}]"))
    good, bad = checked_citations(row)
    assert (good.written, good.passage, good.exists, good.shown, good.supported) == ("1", "P-1", True, True, True)
    assert (bad.written, bad.passage, bad.exists, bad.shown, bad.supported) == (written, None, False, False, False)
    found = citation_metrics([row])
    assert (found["citation_support"], found["all_citations_supported"]) == (0.5, 0)


@pytest.mark.parametrize("number", ["3", "4"])
def test_a_citation_of_a_passage_that_says_something_else_trips(number):
    # Passage 3 names the disease and both drugs, and says nothing of them.
    row = explained(CLEAN.replace("[2]", f"[{number}]"))
    assert [citation.supported for citation in checked_citations(row)] == [True, False]
    assert citation_metrics([row])["all_citations_supported"] == 0


def test_what_a_passage_says_of_the_other_drug_trips_though_the_words_are_the_same():
    found = citation_metrics([explained(CLEAN.replace("Propranolol may", "Albuterol may"))])
    assert (found["citation_support"], found["citation_misattribution"]) == (1, 0.5)
    assert found["citation_misattribution_reference"] == 0
    both = explained("Albuterol and propranolol act on receptors [2]. It may provoke bronchospasm [2].")
    assert citation_metrics([both])["citation_misattribution"] == 0


def test_a_passage_of_which_nothing_is_shown_supports_nothing():
    row = explained(CLEAN, texts=(PASSAGES["P-1"], " ", PASSAGES["P-3"], PASSAGES["P-4"]))
    cut = checked_citations(row)[1]
    assert (cut.exists, cut.shown, cut.supported) == (True, False, False)


def test_a_rationale_that_cites_nothing_is_not_faithful():
    found = citation_metrics([explained("Albuterol opens the airways."), explained("Albuterol [1")])
    assert found["all_citations_supported"] == 0
    assert "citation_support" not in found


def test_each_citation_of_a_sentence_counts_once_and_all_must_support_it():
    row = explained("Albuterol relaxes bronchial smooth muscle [1] [3; 1].")
    assert [(citation.written, citation.supported) for citation in checked_citations(row)] == [
        ("1", True),
        ("3", False),
    ]
    assert citation_metrics([row])["citation_support"] == 0.5


def test_a_citation_is_of_the_sentence_before_it():
    row = explained("Albuterol relaxes bronchial smooth muscle.[1] Propranolol may provoke bronchospasm. [2]")
    assert [citation.sentence for citation in checked_citations(row)] == [
        "Albuterol relaxes bronchial smooth muscle.",
        "Propranolol may provoke bronchospasm.",
    ]
    assert citation_metrics([row])["all_citations_supported"] == 1
    assert [citation.supported for citation in checked_citations(explained("[1]"))] == [False]


def test_where_nothing_is_shown_only_what_is_cited_all_the_same_counts():
    silent = explained("Albuterol opens the airways.", passages=(), reference="Albuterol opens the airways.")
    assert citation_metrics([silent]) == citation_metrics([]) == {}
    found = citation_metrics([{**silent, "rationale": "Albuterol opens the airways [1]."}])
    assert found["citation_support"] == 0
    assert "all_citations_supported" not in found


def test_intervals_resample_diseases_whole():
    clean, torn = CLEAN, CLEAN.replace("[2]", "[9]")
    apart = [explained(text, f"{number}") for number, text in enumerate([clean, torn] * 20)]
    together = [explained(text, "asthma" if text is clean else "rickets") for text in [clean, torn] * 20]
    one, other = (citation_metrics(rows) for rows in (apart, together))
    for name, value in {"all_citations_supported": 0.5, "citation_support": 0.75}.items():
        assert one[name] == other[name] == value
        assert one[f"{name}_low"] < value < one[f"{name}_high"]
        assert other[f"{name}_high"] - other[f"{name}_low"] > 2 * (one[f"{name}_high"] - one[f"{name}_low"])


def test_the_teachers_own_rationale_is_held_against_what_the_model_was_shown():
    row = explained(CLEAN, texts=(PASSAGES["P-3"], PASSAGES["P-2"], PASSAGES["P-3"], PASSAGES["P-4"]))
    found = citation_metrics([{**row, "rationale": "Propranolol may provoke bronchospasm [2]."}])
    assert (
        found["all_citations_supported"],
        found["all_citations_supported_reference"],
        found["citation_support_reference"],
    ) == (1, 0, 0.5)
