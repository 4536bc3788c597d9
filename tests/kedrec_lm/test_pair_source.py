"""Pairs that were drawn are taken from the store where all that they depend on is the same, else drawn anew."""

from types import SimpleNamespace

import pytest

from kedrec.errors import KedrecError
from kedrec.graph.therapeutic import THERAPEUTIC
from kedrec.kedrec_lm.pair_source import file_or_sampled_pairs
from kedrec.kedrec_lm.question_settings import PairSettings, SplitSettings
from kedrec.splits.split_creation import given_split
from kedrec.splits.treatment_split import TreatmentSplit


class StoreAskedError(Exception):
    """Stops where the store is asked."""


class Listening:
    """A store that keeps what it is asked for."""

    def get(self, kind, key, build):
        self.key = key
        raise StoreAskedError


def _key(tokenizer):
    store = Listening()
    corpus = SimpleNamespace(identity={"texts": "same"}, tokenizer_identity=tokenizer, named=None)
    with pytest.raises(StoreAskedError):
        file_or_sampled_pairs(PairSettings(mentioned=True), SplitSettings(by="date"), 0, corpus, None, store)
    return store.key


def test_another_tokenizer_which_cuts_other_passages_draws_anew():
    assert _key("one") == _key("one")
    assert _key("one") != _key("other")


def test_a_split_without_validation_is_no_students(tmp_path):
    split_of = {("Compound::1", "Disease::1"): "train", ("Compound::2", "Disease::2"): "test"}
    TreatmentSplit("pair", 0, "a" * 64, None, None, split_of).save(tmp_path / "split.tsv")
    with pytest.raises(KedrecError, match=r"split\.tsv: no treatment is in the validation split"):
        given_split(str(tmp_path / "split.tsv"), SimpleNamespace(), THERAPEUTIC)
