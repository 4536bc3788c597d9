"""Irrelevant drugs that another source calls relevant."""

import pytest

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.indications import contested, load_indications
from kedrec.splits.pairs import Pair


def _file(folder, text):
    path = folder / "indications.tsv"
    path.write_text(text)
    return path


def test_contested_pairs_are_those_whose_irrelevant_drug_is_indicated(tmp_path):
    path = _file(tmp_path, "drug\tdisease\tsource\nCompound::b\tDisease::1\tlabel\nCompound::a\tDisease::2\tlabel\n")
    pairs = [
        Pair("Disease::1", "Compound::a", "Compound::b", "train", True, ""),
        Pair("Disease::2", "Compound::a", "Compound::b", "test", True, ""),
        Pair("Disease::1", "Compound::c", "Compound::b", "test", False, ""),
    ]
    assert contested(pairs, load_indications(path)) == [pairs[0], pairs[2]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds no pair"),
        ("drug\tdisease\n", "holds no pair"),
        ("Compound::a\tDisease::1\nDB1\tDisease::1\n", "line 2: expected a compound's and a disease's id"),
        ("Compound::a\n", "line 1: expected"),
        ("Disease::1\tCompound::a\n", "line 1: expected"),
    ],
)
def test_what_is_not_of_the_form_is_named_with_its_line(tmp_path, text, expected):
    with pytest.raises(KedrecError, match=expected):
        load_indications(_file(tmp_path, text))
