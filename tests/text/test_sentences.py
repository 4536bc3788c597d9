"""Where a sentence ends, and where it does not."""

import pytest

from kedrec.text.sentences import sentences


@pytest.mark.parametrize(
    "whole",
    [
        "Beta blockers, e.g. Metoprolol, slow the heart.",
        "Dr. Smith gave 0.5 mg of drug A vs. Placebo.",
        "Growth of S. Aureus and E. coli fell by 3.5 to 4.2 log.",
        "It was shown by Jones et al. In 1999 as in Fig. 2 of that work.",
        "Values of p<0.05 (cf. Table 2) were kept.",
        "12. Patients above 18 years.",
    ],
)
def test_abbreviations_initials_and_decimals_end_no_sentence(whole):
    assert sentences(whole) == [whole]


def test_sentences_end_at_marks_brackets_and_paragraphs():
    text = 'Is it safe? It is (in adults.) "Quite so." 50 patients took vitamin C. All lived\n\nno stop here\nwrapped'
    assert sentences(text) == [
        "Is it safe?",
        "It is (in adults.)",
        '"Quite so."',
        "50 patients took vitamin C.",
        "All lived",
        "no stop here wrapped",
    ]
    assert sentences("  \n\n ") == []
