"""Pairs that were drawn are taken from the store where all that they depend on is the same, else drawn anew."""

from types import SimpleNamespace

import pytest

from kedrec.data.drawing import Drawing
from kedrec.graph.treatments import THERAPEUTIC


class StoreAskedError(Exception):
    """Stops where the store is asked."""


class Listening:
    """A store that keeps what it is asked for."""

    def get(self, kind, key, build):
        self.key = key
        raise StoreAskedError


def _key(tokenizer):
    store, encoder = Listening(), SimpleNamespace(tokenizer_identity=tokenizer)
    library = SimpleNamespace(identity={"texts": "same"}, retriever=SimpleNamespace(encoder=encoder))
    drawing = Drawing(THERAPEUTIC, "random", None, (0, 10), False, None, None, True, 0, ("date", 0.1, 0.2))
    with pytest.raises(StoreAskedError):
        drawing.pairs(library, store)
    return store.key


def test_another_tokenizer_which_cuts_other_passages_draws_anew():
    assert _key("one") == _key("one")
    assert _key("one") != _key("other")
