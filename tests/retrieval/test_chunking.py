"""Passages: where a document is cut, and where it must not be."""

import os
from itertools import islice
from pathlib import Path

import pytest

from kedrec.errors import KedrecError
from kedrec.retrieval.chunking import chunk
from kedrec.sources.text.documents import Document, read_documents
from kedrec.text.passage import Passage


def words(texts):
    """Stand in for a tokenizer: a token a word."""
    return [len(text.split()) for text in texts]


def document(text, name="D", title="T"):
    return Document(id=name, source="pmc", title=title, text=text, url="u")


def test_a_short_document_is_one_passage_with_its_id_and_fields():
    assert list(chunk([document("One two. Three.")], words, size=10)) == [
        Passage(id="D", document="D", source="pmc", title="T", text="One two. Three.", url="u")
    ]


def test_longer_documents_end_on_sentences_lose_nothing_and_number_their_passages():
    text = " ".join(f"Sentence number {i} has six words." for i in range(20))
    found = list(chunk([document(text)], words, size=50))
    assert [passage.id for passage in found] == ["D", "D#2", "D#3"]
    assert " ".join(passage.text for passage in found) == text
    assert all(passage.text.endswith(".") and passage.document == "D" for passage in found)
    assert words(p.text for p in found) == [42, 36, 42], "equal shares, not two full ones and a rest"


def test_no_passage_of_uneven_sentences_is_far_above_the_size():
    text = " ".join(" ".join(f"w{i}" for i in range(1 + seven * 7 % 40)) + "." for seven in range(30)).replace(
        ". w", ". W"
    )
    assert max(words(passage.text for passage in chunk([document(text)], words, size=40))) <= 45


def test_a_sentence_longer_than_the_size_is_cut_between_words():
    text = " ".join(f"w{i}" for i in range(25))
    found = list(chunk([document(text)], words, size=10))
    assert " ".join(passage.text for passage in found) == text
    assert words(passage.text for passage in found) == [10, 10, 5]


def test_the_order_of_many_documents_is_kept():
    found = list(chunk((document("A b.", name=str(i)) for i in range(2500)), words))
    assert [passage.id for passage in found] == [str(i) for i in range(2500)]


def test_an_id_that_two_passages_would_share_is_refused():
    long = document("One two three. Four five six.")
    with pytest.raises(KedrecError, match="'D#2'"):
        list(chunk([long, document("x", name="D#2")], words, size=3))
    with pytest.raises(KedrecError, match="1 token"):
        list(chunk([], words, size=0))


@pytest.mark.parametrize(("title", "text"), [("", "B."), ("T", "T. B."), ("T?", "T? B.")])
def test_the_embedded_text_holds_the_title(title, text):
    assert Passage(id="D", document="D", source="pmc", title=title, text="B.").titled_text == text


@pytest.mark.skipif("KEDREC_REAL_DATA" not in os.environ, reason="needs KEDREC_REAL_DATA")
def test_real_abstracts_are_cut_without_loss():
    file = Path(os.environ["KEDREC_REAL_DATA"]) / "text" / "pubmed_abstracts.jsonl.zst"
    for one in islice(read_documents(file), 2000):
        joined = " ".join(passage.text for passage in chunk([one], words, size=120))
        assert joined == " ".join(one.text.split())
