"""Documents of a class from outside the package take the way of documents in files."""

import pytest

from kedrec.errors import KedrecError
from kedrec.retrieval.bi_encoder import Encoder
from kedrec.retrieval.retriever import open_corpus
from kedrec.sources.text.documents import Document, documents_hash
from kedrec.sources.text.text_source import TextSource, documents_identity, documents_of, texts_name
from kedrec.storage.artifact_store import Store


class Notes(TextSource):
    """Documents given by a test; counts how often they are read."""

    def __init__(self, *texts, version="1"):
        self.texts = texts
        self.version = version
        self.read = 0

    def documents(self):
        self.read += 1
        return [Document(name, "notes", "", text) for name, text in self.texts]

    def identity(self):
        return self.version


class OtherNotes(Notes):
    """Another class of the same documents."""


def test_an_exact_duplicate_is_yielded_once_and_two_texts_of_one_id_are_refused():
    assert [one.id for one in documents_of(Notes(("a", "x"), ("b", "y"), ("a", "x")))] == ["a", "b"]
    expected = r"test_text_source\.Notes: document 3: the id 'a' is already used for a different text at .* document 1;"
    with pytest.raises(KedrecError, match=expected):
        list(documents_of(Notes(("a", "x"), ("b", "y"), ("a", "z"))))


def test_the_identity_is_of_class_and_version_and_of_files_their_hash(tmp_path):
    identities = {documents_identity(one) for one in (Notes(), Notes(version="2"), OtherNotes())}
    assert len(identities) == 3
    assert documents_identity(Notes(("a", "x"))) in identities  # the class itself says when its documents change
    path = tmp_path / "passages.jsonl"
    path.write_text('{"id": "a", "title": "", "text": "x"}\n')
    assert documents_identity(str(path)) == documents_hash(path)
    assert (texts_name(str(path)), texts_name(OtherNotes())) == (str(path), f"{__name__}.OtherNotes")


def test_passages_are_kept_until_the_identity_changes(tiny_encoder_folder, tmp_path):
    encoder, store = Encoder(str(tiny_encoder_folder)), Store(tmp_path / "store")

    def passages(notes):
        return [one.text for one in open_corpus(notes, encoder, store).passages("notes")]

    first, same, changed = Notes(("a", "Aspirin helps.")), Notes(), Notes(("a", "It does not."), version="2")
    assert passages(first) == passages(same) == ["Aspirin helps."]
    assert (first.read, same.read) == (1, 0)
    assert passages(changed) == ["It does not."]
